#pragma once
/// Child processes: run one to its end, or start one that outlives us.
#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/file.h"

namespace sprite {

struct Finished {
  int exit_status = 0;  ///< As a shell says it: 128 + n for a death by signal n, 127 for no such program.
  std::string out, err;
};

/// Runs argv[0] (looked up in PATH) to its end with standard input from /dev/null, collecting at most 1 MiB of each
/// output; kills it after `limit`. Descriptors in `inherit` keep their numbers in it. Errors: not_found (no such
/// program), unavailable (time is up, too many processes).
Result<Finished> run_process(const std::vector<std::string>& argv,
                             std::chrono::milliseconds limit = std::chrono::seconds(60),
                             const std::vector<int>& inherit = {});

/// Starts argv[0] in a session of its own, so that it outlives us: standard input /dev/null, both outputs appended to
/// `log`; descriptors in `inherit` keep their numbers, every other close-on-exec one is closed. Errors: not_found,
/// unavailable.
Result<pid_t> start_detached(const std::vector<std::string>& argv, const Path& log,
                             const std::vector<int>& inherit = {});

/// The absolute path of a program in PATH (and /usr/sbin, /sbin). Errors: not_found.
Result<Path> find_program(const std::string& name);

}  // namespace sprite
