#pragma once
/// The daemon as a process: is it there, start it, end it.
#include <sys/types.h>

#include <optional>

#include "base/result.h"
#include "settings/settings.h"

namespace sprite::cli {

/// The pid of the daemon that answers on our socket; nothing when none does.
/// Errors: denied (the runtime directory or the socket is another user's).
Result<std::optional<pid_t>> find_daemon(const settings::Settings& settings);

/// Makes sure that a daemon runs and answers; a running one is left alone. True if it had to be started.
/// Errors: those of the daemon when it could not start, denied, unavailable.
Result<bool> ensure_daemon(const settings::Settings& settings);

/// Ends the daemon and waits until it is gone; VMs run on. False if none was running. Errors: denied, unavailable.
Result<bool> stop_daemon(const settings::Settings& settings);

}  // namespace sprite::cli
