#pragma once
/// The inner container: made by crun, ended by its cgroup. All calls block.
#include "base/fd.h"
#include "base/file.h"
#include "base/result.h"

namespace sprite::agent {

/// Of all programs in it.
inline const Path container_group = "/sys/fs/cgroup/inner";

/// The agent's end of the socket to the spawner of the container, the spawner itself (a pidfd), and the container's
/// network (kept open while it runs).
struct InnerContainer {
  Fd spawner_socket;
  Fd spawner;
  Fd network_namespace;
};

/// Starts a new container on the mounted disk, after ending whatever is left of an earlier one.
/// Errors: unavailable (crun's own words), as system_error.
Result<InnerContainer> start_container();
/// Kills every process in the container; returns when all are gone. Errors: unavailable (some are still there after 5
/// s).
Result<> kill_container();
/// Has every program in the container stand still, or go on; fine where there is no container. Returns before the last
/// has: it is a matter of milliseconds. Errors: unavailable.
Result<> set_container_frozen(bool frozen);

}  // namespace sprite::agent
