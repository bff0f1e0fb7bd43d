#pragma once
/// The daemon: one per user, serving the API on a Unix socket and, with a token, on 127.0.0.1.
#include "base/result.h"
#include "settings/settings.h"

namespace sprite::daemon {

struct Options {
  bool detached = false;  ///< Log to `<state>/daemon.log` instead of standard error.
  int report_fd = -1;     ///< Where to tell that we are ready, or why not; see settings/daemon_record.h.
};

/// Serves until SIGTERM, SIGINT or SIGHUP, then stops within 5 s; VMs run on. Errors: busy (a daemon runs already),
/// denied, invalid, as open_sprites().
Result<> run(const settings::Settings& settings, const Options& options);

}  // namespace sprite::daemon
