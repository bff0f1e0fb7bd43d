#include "cli/outlook.h"

#include <doctest/doctest.h>

#include "base/text.h"
#include "wire/activity.h"

using namespace sprite;
using namespace sprite::cli;
using namespace std::chrono_literals;

namespace {

const auto now = *parse_time("2026-01-02T03:04:05.000Z");

wire::Sprite sprite_at(const std::string& activity, const std::string& next_change_at = "") {
  wire::Sprite sprite;
  sprite.name = "box";
  sprite.activity = activity;
  if (next_change_at.empty()) return sprite;
  sprite.next_change = "paused";
  sprite.next_change_at = next_change_at;
  return sprite;
}

}  // namespace

TEST_CASE("a pause is promised only where nothing is known to keep the sprite awake") {
  const std::string in_12_s = "2026-01-02T03:04:17.000Z", task = "task 'work' until 2026-01-02T03:04:53.000Z";
  CHECK(outlook_at(sprite_at("", in_12_s), now) == "paused in 12s");
  CHECK(outlook_at(sprite_at("session 1 reads or writes", in_12_s), now) ==
        "paused in 12s (session 1 reads or writes)");
  CHECK(outlook_at(sprite_at("programs use the disk"), now) == "kept awake: programs use the disk");
  CHECK(outlook_at(sprite_at(task, in_12_s), now) == "kept awake: task 'work', 48s more");
  CHECK(outlook_at(sprite_at(task, in_12_s), now + 1min) == "kept awake: task 'work', which ends now");
  CHECK(outlook_at(sprite_at(""), now).empty());
  wire::Sprite pinned = sprite_at("pinned");
  pinned.pinned = true;
  CHECK(outlook_at(pinned, now) == "pinned");
}

TEST_CASE("who wakes a sprite is warned if that cost its programs, and nobody else") {
  wire::Sprite sprite = sprite_at("");
  sprite.last_running_at = "2026-01-02T03:04:05.000Z";
  CHECK_FALSE(memory_warning(sprite, now));
  sprite.detail = wire::booted_anew;
  sprite.detail += "its memory has 1 byte too few";
  const auto warning = memory_warning(sprite, now + 300us);  // the daemon's times are in milliseconds
  REQUIRE(warning);
  CHECK(warning->find("its programs ended, its disk is whole") != std::string::npos);
  CHECK(warning->find("its memory has 1 byte too few") != std::string::npos);
  CHECK_FALSE(memory_warning(sprite, now + 1s));
}
