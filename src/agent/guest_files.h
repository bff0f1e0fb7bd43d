#pragma once
/// The files inside the container that say who the machine is. They are written inside the container's own namespaces:
/// a link that a user put in their place leads nowhere but into the user's own machine.
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace sprite::agent {

/// Who the machine is, as programs see it.
struct Identity {
  std::string hostname{};
  std::string machine_id{};
};

/// The text of /etc/hosts after a change of name: our line (127.0.1.1) names `hostname`; every other line stays.
std::string hosts_with_name(std::string_view hosts, std::string_view hostname);

/// Sets the host name, /etc/hostname, /etc/hosts, the machine-id, and /etc/resolv.conf where there is none. ssh host
/// keys that came with a disk of another machine go. `container` is a pidfd of a process in it: whether its programs
/// run does not matter. Blocks. Errors: as system_error.
Result<> take_identity(const Fd& container, const Identity& identity);

}  // namespace sprite::agent
