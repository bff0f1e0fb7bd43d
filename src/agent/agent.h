#pragma once
/// The agent as a process: its servers over a Machine.
#include <boost/asio/io_context.hpp>

#include "agent/modules.h"
#include "base/fd.h"

namespace sprite::agent {

/// In the VM: serves the daemon over the channel and the programs inside at /.sprite/api.sock, for ever.
int run_agent(Modules modules);
/// Without a VM: serves what the daemon would reach on a Unix socket at `path`, until SIGTERM.
int run_plain_agent(const Path& path);

}  // namespace sprite::agent
