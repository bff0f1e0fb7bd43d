#include "sprite/idle.h"

#include <algorithm>

namespace sprite {

std::optional<Use::Time> change_due(Wakefulness is, const SleepRules& rules, const Use& use) {
  if (is == Wakefulness::other || rules.pinned) return std::nullopt;
  if (is == Wakefulness::awake && use.connections > 0) return std::nullopt;
  const SleepTime& time = is == Wakefulness::awake ? rules.after : rules.deep_after;
  if (!time) return std::nullopt;
  return is == Wakefulness::awake ? std::max(use.last + *time, use.expects.value_or(use.last)) : use.last + *time;
}

std::string way_to_force(Depth depth, const std::string& name) {
  if (depth == Depth::cold) return "end them, or have their programs ended: `sprite sleep --cold --force " + name + "`";
  const std::string option = depth == Depth::disk ? "--deep " : "";
  return "end them, or let them stand still until it wakes: `sprite sleep " + option + "--force " + name + "`";
}

std::string why_awake(const SleepRules& rules, const Use& use) {
  if (rules.pinned) return "pinned";
  if (use.connections == 1) return "a connection is open";
  if (use.connections > 1) return std::to_string(use.connections) + " connections are open";
  return use.activity;
}

}  // namespace sprite
