#pragma once
/// What keeps a sprite awake, or ended its sleep, in words that one part says and another one reads.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "wire/types.h"

namespace sprite::wire {

/// The detail of a sprite whose machine ends, or whose agent nobody has asked since it was lost.
inline constexpr std::string_view out_of_reach = "its agent is out of reach";
/// How the detail of a running sprite begins whose saved memory was there, but could not be used: programs ended.
inline constexpr std::string_view booted_anew = "booted anew, since its saved memory could not be used: ";

/// "task 'backup' until 2026-01-02T03:04:05.678Z"
std::string activity_of(const Task& task);

/// What an activity of a task tells.
struct Held {
  std::string by{};  ///< "task 'backup'"
  std::chrono::system_clock::time_point until{};
};
/// Nothing for what ends nobody knows when: programs at work, connections.
std::optional<Held> held(const std::string& activity);

}  // namespace sprite::wire
