#pragma once
/// The guest's way out, without privileges. passt is a process per machine that carries the guest's connections through
/// ordinary sockets; it starts before QEMU, outlives the daemon, and ends when QEMU closes its socket (--one-off).
/// Without it QEMU's own user-mode network gives the same addresses, but its 10.0.2.2 is the host's loopback: the agent
/// filters that inside the machine.
#include <string>

#include "base/file.h"

namespace sprite::vm {

enum class Network { passt, user };

struct NetworkDecision {
  Network network = Network::user;
  std::string reason;  ///< Why not passt, in words; empty for passt.
};

/// Whether passt works here, tried with a socket in `scratch` (a directory of ours). One that was left there by a
/// process that was killed while it tried is ended.
NetworkDecision detect_network(const Path& scratch);
/// Ends the helper of one that tries now, if it listens already.
void end_network_trial(const Path& scratch);

/// Where QEMU finds the helper of the machine that lives in `runtime_directory`.
Path network_socket(const Path& runtime_directory);

/// Starts the helper and returns when its socket is there. Errors: not_found (no passt), unavailable (with its own
/// words).
Result<> start_network(const Path& runtime_directory);

/// Ends a helper that QEMU never connected to or left behind, and removes its files; an absent one is fine.
void stop_network(const Path& runtime_directory);

/// QEMU's -netdev of that kind. `socket` is already fit for an option list.
std::string netdev_option(const std::string& id, Network network, const std::string& socket);

}  // namespace sprite::vm
