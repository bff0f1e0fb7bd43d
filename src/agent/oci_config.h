#pragma once
/// The inner container as crun is told about it. Inside, root is real root on a machine of its own, with everything
/// that could reach around the container into the VM's root namespace left out: no kernel modules, reboot, raw ports or
/// clock; no device but the harmless ones (not the disk, not the channel, not memory); kernel settings that run
/// programs as the root namespace's root are read-only here and powerless there (see boot.cpp, which drops the
/// capabilities of such helpers). The security boundary is the VM; this keeps a root user inside from breaking its own
/// machine by accident or curiosity.
#include <string>

namespace sprite::agent {

struct ContainerOptions {
  std::string root = "/disk";       ///< The user's file system.
  std::string inside = "/inside";   ///< What becomes /.sprite, read-only: api.sock, bin/spawner.
  std::string network_namespace{};  ///< A path that names it.
  int spawner_socket = -1;          ///< The descriptor that the spawner serves.
};

/// The text of config.json.
std::string oci_config(const ContainerOptions& options);

}  // namespace sprite::agent
