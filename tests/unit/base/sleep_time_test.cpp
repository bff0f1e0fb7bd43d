#include "base/sleep_time.h"

#include <doctest/doctest.h>

using namespace sprite;
using namespace std::chrono_literals;

TEST_CASE("a time to fall asleep in is a second or more, or never") {
  CHECK(*parse_sleep_time("30s") == SleepTime(30s));
  CHECK(*parse_sleep_time("1h30m") == SleepTime(90min));
  CHECK(*parse_sleep_time("never") == SleepTime());
  for (const char* wrong : {"", "0s", "999ms", "-5s", "soon", "Never"})
    CHECK(parse_sleep_time(wrong).error().kind == Error::Kind::invalid);
}

TEST_CASE("a time without a unit is refused with what may have been meant") {
  for (const char* text : {"5", "1.5"}) {
    const auto refused = parse_sleep_time(text);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().hint.find(std::string("write ") + text + "s, ") == 0);
  }
}
