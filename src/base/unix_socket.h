#pragma once
/// Unix sockets by path: address, connecting, listening.
#include <sys/un.h>

#include "base/file.h"

namespace sprite {

/// The address of `path`. Errors: invalid (longer than 107 bytes).
Result<sockaddr_un> unix_address(const Path& path);

/// Whether to wait where the listener's queue is full; the connected socket is of that kind, too.
enum class Blocking { no, yes };
/// A socket connected to `path`. Errors: not_found (no such file), denied, unavailable (nobody listens), invalid.
Result<Fd> connect_unix(const Path& path, Blocking blocking);

/// A socket (non-blocking) that listens at `path`, which nobody but us can connect to, not even for a moment. One that
/// nobody answers on is replaced. Errors: busy (somebody answers there), exists (not a socket), invalid, as
/// system_error.
Result<Fd> listen_unix(const Path& path);

}  // namespace sprite
