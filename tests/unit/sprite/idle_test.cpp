#include "sprite/idle.h"

#include <doctest/doctest.h>

using namespace sprite;
using namespace std::chrono_literals;

TEST_CASE("a sprite is due to sleep deeper when it has been idle, or paused, for its time") {
  Use use;
  const SleepRules rules{30s, 10min, false};
  CHECK(change_due(Wakefulness::awake, rules, use) == use.last + 30s);
  CHECK(change_due(Wakefulness::paused, rules, use) == use.last + 10min);
  CHECK_FALSE(change_due(Wakefulness::other, rules, use));
}

TEST_CASE("one that is pinned, has a connection open, or never sleeps is not") {
  Use use;
  CHECK_FALSE(change_due(Wakefulness::awake, {30s, 10min, true}, use));
  CHECK_FALSE(change_due(Wakefulness::paused, {30s, 10min, true}, use));
  CHECK_FALSE(change_due(Wakefulness::awake, {{}, 10min, false}, use));
  CHECK_FALSE(change_due(Wakefulness::paused, {30s, {}, false}, use));
  use.connections = 1;
  CHECK_FALSE(change_due(Wakefulness::awake, {30s, 10min, false}, use));
  CHECK(change_due(Wakefulness::paused, {30s, 10min, false}, use));  // somebody had it pause all the same
}

TEST_CASE("what is soon to go off inside keeps it awake until then, and no longer than its time otherwise") {
  Use use;
  use.expects = use.last + 45s;
  CHECK(change_due(Wakefulness::awake, {30s, 10min, false}, use) == use.last + 45s);
  CHECK(change_due(Wakefulness::awake, {60s, 10min, false}, use) == use.last + 60s);
  CHECK(change_due(Wakefulness::paused, {30s, 10s, false}, use) == use.last + 10s);
}

TEST_CASE("the way to put one to sleep that is in use keeps the depth that was asked for") {
  CHECK(way_to_force(Depth::paused, "box").find("`sprite sleep --force box`") != std::string::npos);
  CHECK(way_to_force(Depth::disk, "box").find("`sprite sleep --deep --force box`") != std::string::npos);
  CHECK(way_to_force(Depth::cold, "box").find("`sprite sleep --cold --force box`") != std::string::npos);
}

TEST_CASE("why it is awake: the strongest reason") {
  Use use;
  CHECK(why_awake({}, use).empty());
  use.activity = "programs use the disk";
  CHECK(why_awake({}, use) == "programs use the disk");
  use.connections = 1;
  CHECK(why_awake({}, use) == "a connection is open");
  use.connections = 2;
  CHECK(why_awake({}, use) == "2 connections are open");
  CHECK(why_awake({{}, {}, true}, use) == "pinned");
}
