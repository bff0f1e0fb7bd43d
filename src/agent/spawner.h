#pragma once
/// The spawner: starts every program, waits for it and reports its end. In the VM it is PID 1 of the inner container,
/// so all it starts has the container's confinement, and what users' programs orphan is reaped here. One thread, one
/// poll() loop; it owns nothing that must survive it: when it ends, the kernel ends the container.
#include <string>

#include "base/fd.h"

namespace sprite::agent {

struct SpawnerOptions {
  std::string default_user = "sprite";  ///< Programs that name no user; where there is none, root (or who we are).
  bool owns_container = false;          ///< PID 1 of a PID namespace: every process here is ours to signal.
};

/// Serves the agent at the other end of `socket` (send_message) until that is gone; returns the exit status.
int run_spawner(Fd socket, const SpawnerOptions& options);

}  // namespace sprite::agent
