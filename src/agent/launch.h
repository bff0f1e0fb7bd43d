#pragma once
/// A program becoming a process: user, environment, terminal, directory, exec. Everything here runs inside the
/// container.
#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

#include "agent/spawner_messages.h"
#include "agent/users.h"
#include "base/result.h"

namespace sprite::agent {

/// What a login gives: HOME, USER, LOGNAME, SHELL, PATH, LANG and, with a terminal, TERM; then what the program asks
/// for.
std::vector<std::string> environment_for(const Program& program, const User& user);

struct Launched {
  pid_t pid = -1;
  Fd terminal{};  ///< The master end, if the program has a terminal.
};

/// Forks and executes `program` as `user` in a session of its own. `stdio` is used unless it has a terminal. A program
/// that cannot be run is told as by a shell: a line on its standard error, status 127 (not found), 126 (not executable)
/// or 1 (its directory cannot be entered). Errors: unavailable (too many processes, no terminal).
Result<Launched> launch(const Program& program, const User& user, std::array<int, 3> stdio);

}  // namespace sprite::agent
