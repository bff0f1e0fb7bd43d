#pragma once
/// The command line program: words to a verb, its outcome to an exit status.
#include <string>
#include <vector>

#include "cli/context.h"

namespace sprite::cli {

/// Runs what `words` (without the program's name) ask for; errors are printed. Returns the exit status.
int run(const std::vector<std::string>& words, const RunDaemon& run_daemon);

}  // namespace sprite::cli
