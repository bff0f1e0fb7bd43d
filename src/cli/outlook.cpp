#include "cli/outlook.h"

#include "base/text.h"
#include "wire/activity.h"

namespace sprite::cli {
namespace {

using Time = std::chrono::system_clock::time_point;

/// May be empty.
std::string what_keeps_awake(const wire::Sprite& sprite, Time now) {
  if (sprite.activity.empty() || sprite.pinned) return sprite.activity;
  const auto held = wire::held(sprite.activity);
  if (!held) return "kept awake: " + sprite.activity;
  const auto left = std::chrono::ceil<std::chrono::seconds>(held->until - now);
  return "kept awake: " + held->by + (left.count() > 0 ? ", " + format_duration(left) + " more" : ", which ends now");
}

}  // namespace

std::string outlook_at(const wire::Sprite& sprite, Time now) {
  const auto at = parse_time(sprite.next_change_at.value_or(""));
  if (!sprite.next_change || !at || wire::held(sprite.activity)) return what_keeps_awake(sprite, now);
  const auto left = std::chrono::ceil<std::chrono::seconds>(*at - now);
  const std::string when = left.count() > 0 ? " in " + format_duration(left) : " now";
  return *sprite.next_change + when + (sprite.activity.empty() ? "" : " (" + sprite.activity + ")");
}

std::optional<std::string> memory_warning(const wire::Sprite& sprite, Time since) {
  if (!sprite.detail.starts_with(wire::booted_anew) || !sprite.last_running_at) return std::nullopt;
  const auto woke = parse_time(*sprite.last_running_at);
  if (!woke || *woke < std::chrono::floor<std::chrono::milliseconds>(since)) return std::nullopt;
  return "sprite: '" + sprite.name + "' was booted anew: its programs ended, its disk is whole\n" +
         "  because its saved memory could not be used: " + sprite.detail.substr(wire::booted_anew.size());
}

}  // namespace sprite::cli
