#pragma once
/// Printing a file, and what is appended to it later.
#include "base/file.h"
#include "cli/terminal.h"

namespace sprite::cli {

enum class Follow { no, yes };

/// Prints the file, at most its last `limit_bytes` from a line's begin on. With Follow::yes it does not return: what is
/// appended is printed, also when another file takes the place (a log that was rotated). Errors: as system_error.
Result<> print_file(Terminal& terminal, const Path& path, std::size_t limit_bytes, Follow follow);

}  // namespace sprite::cli
