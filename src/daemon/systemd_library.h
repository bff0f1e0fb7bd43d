#pragma once
/// systemd's library, loaded when the system bus is first opened: only a daemon wants it, every other start of the
/// program would take a third longer, and where there is no systemd it may be missing.
#include "base/result.h"

namespace sprite::daemon {

/// Loads libsystemd, once per process; before any other call of it. Errors: unavailable (not installed).
Result<> load_systemd();

}  // namespace sprite::daemon
