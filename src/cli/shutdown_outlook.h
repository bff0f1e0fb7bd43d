#pragma once
/// What the next shutdown of this host does to programs in sprites.
#include <string>

namespace sprite::cli {

struct ShutdownFacts {
  bool service_runs = false;     ///< The daemon is a service, which the user's manager ends in peace.
  bool service_enabled = false;  ///< It will be one when that manager starts again.
  bool may_delay = false;        ///< logind lets the user hold a shutdown up, as the daemon then does.
  bool has_systemd = false;
};

struct ShutdownOutlook {
  bool good = false;
  std::string text;
  std::string mend{};  ///< What to type.
};

/// Pure.
ShutdownOutlook shutdown_outlook(const ShutdownFacts& facts);

/// Asks systemd and logind; holds a shutdown up for a moment.
ShutdownFacts shutdown_facts();

}  // namespace sprite::cli
