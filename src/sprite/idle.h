#pragma once
/// When a sprite falls asleep by itself: what is known of its use, and the rule.
#include <chrono>
#include <optional>
#include <string>

#include "base/sleep_time.h"
#include "sprite/sprites.h"

namespace sprite {

/// Somebody's use of a sprite, from outside (connections, commands) or inside (programs at work, tasks).
struct Use {
  using Time = std::chrono::steady_clock::time_point;
  Time last = std::chrono::steady_clock::now();  ///< Of a sleeping one: when it fell asleep.
  std::optional<Time> expects{};                 ///< Until then a timer is to go off inside, and to have its effect.
  int connections = 0;                           ///< Open now.
  std::string activity{};                        ///< What it was found at when somebody looked; may be empty.
  bool at_work = false;                          ///< It was at that still, or held: it sleeps when that has ended.
};

/// The times that apply to a sprite, its own or those of the settings.
struct SleepRules {
  SleepTime after{}, deep_after{};
  bool pinned = false;
};

/// How far asleep it is. `other`: it changes already, or has no machine.
enum class Wakefulness { awake, paused, other };

/// When it is to sleep deeper by itself if nobody uses it until then; nothing: it stays as it is.
std::optional<Use::Time> change_due(Wakefulness is, const SleepRules& rules, const Use& use);

/// How one is put to sleep although it is in use, and what becomes of who uses it.
std::string way_to_force(Depth depth, const std::string& name);

/// Why it is awake, in words: "2 connections are open"; empty if there is no particular reason.
std::string why_awake(const SleepRules& rules, const Use& use);

}  // namespace sprite
