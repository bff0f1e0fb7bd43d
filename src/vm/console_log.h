#pragma once
/// The serial console's log, which QEMU appends to itself so that it needs nobody: we cut it back now and then.
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/file.h"

namespace sprite::vm {

constexpr std::uint64_t console_limit_bytes = 1 * MiB;

/// Drops the older half of a log larger than `limit_bytes`, while another process appends to it (O_APPEND). Where the
/// file system can cut out a range, nothing else is lost; elsewhere what is appended during the call may be. An absent
/// log is fine. Errors: as system_error.
Result<> trim_console(const Path& log, std::uint64_t limit_bytes = console_limit_bytes);

/// The end of a log, at most `limit_bytes` of it. Errors: as system_error (not_found: it was never begun).
Result<std::string> console_tail(const Path& log, std::uint64_t limit_bytes = console_limit_bytes);

}  // namespace sprite::vm
