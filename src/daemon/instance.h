#pragma once
/// The right to be the daemon: its directories, and the lock that one process only can hold.
#include <chrono>

#include "base/file.h"
#include "base/result.h"
#include "settings/settings.h"

namespace sprite::daemon {

/// The locks: one daemon per runtime directory, which clients talk to, and one per data directory.
struct Instance {
  FileLock runtime, data;
};

/// Makes the directories of the settings, those with sockets and memory private to us, and takes the locks. A daemon
/// that has one and does not answer is on its way up or down, and awaited for so long: longer than one may take to
/// stop. Errors: busy (a daemon runs already), denied (a directory is another user's), invalid (no place for memory),
/// as system_error.
Result<Instance> claim(const settings::Settings& settings,
                       std::chrono::milliseconds patience = std::chrono::seconds(10));

}  // namespace sprite::daemon
