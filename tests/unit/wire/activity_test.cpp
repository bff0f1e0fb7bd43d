#include "wire/activity.h"

#include <doctest/doctest.h>

#include "base/text.h"

using namespace sprite;

TEST_CASE("until when a task holds a sprite is read as it was written") {
  const wire::Task task{"the 'last' until now", "2026-01-02T03:00:00.000Z", "2026-01-02T03:04:05.678Z"};
  const auto held = wire::held(wire::activity_of(task));
  REQUIRE(held);
  CHECK(held->by == "task 'the 'last' until now'");
  CHECK(format_time(held->until) == task.expires_at);
}

TEST_CASE("what ends nobody knows when holds until no time") {
  for (const char* activity : {"", "programs use the processor", "a connection is open", "task 'x' until ever"}) {
    CAPTURE(activity);
    CHECK_FALSE(wire::held(activity));
  }
}
