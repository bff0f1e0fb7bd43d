#pragma once
/// Tasks: named holds by which programs keep their sprite awake, for an hour at most. They are in memory only: a boot
/// ends every program, and so every hold.
#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "wire/types.h"

namespace sprite::agent {

class Tasks {
 public:
  using Time = std::chrono::system_clock::time_point;
  enum class IfTaken { refuse, replace };

  /// Begins or (`replace`) renews a hold. Errors: exists (refuse), invalid (the name, the time), no_space (too many).
  Result<wire::Task> hold(const std::string& name, std::chrono::milliseconds time, IfTaken if_taken, Time now);
  std::optional<wire::Task> find(const std::string& name, Time now);
  /// Whether there was one.
  bool remove(const std::string& name, Time now);
  wire::TaskList list(Time now);
  /// The one that lasts longest.
  std::optional<wire::Task> last(Time now);

 private:
  struct Hold {
    Time started, expires;
  };
  static wire::Task to_wire(const std::string& name, const Hold& hold);
  void forget_expired(Time now);

  std::map<std::string, Hold> holds_;
};

}  // namespace sprite::agent
