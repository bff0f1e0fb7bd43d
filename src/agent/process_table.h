#pragma once
/// Processes as /proc lists them.
#include <sys/types.h>

#include <optional>
#include <string_view>

namespace sprite::agent {

/// The session (setsid) that a line of /proc/PID/stat names.
std::optional<pid_t> session_in_stat(std::string_view stat);
/// Sends `number` to every process whose session is `session`.
void signal_session(pid_t session, int number);

}  // namespace sprite::agent
