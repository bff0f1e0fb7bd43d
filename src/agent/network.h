#pragma once
/// The VM's network: eth0 with the fixed address of the contract, a pair of links to the inner container, forwarding
/// with masquerade, and the filter that keeps the container away from the host's side and from the root namespace.
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sprite::agent {

/// The nftables ruleset of the root namespace.
std::string filter_rules();

/// Sets up the root namespace; without eth0 the machine has no way out, which is no failure. Errors: as system_error.
Result<> set_up_network();
/// Gives `address` to the links that have one of this machine: eth0, here and in the container's network namespace.
/// Errors: invalid (not an address), as system_error.
Result<> set_hardware_address(const std::string& address, const Fd& inner_namespace);
/// A new network namespace for the container, linked to ours. Errors: as system_error.
Result<Fd> make_inner_network();

}  // namespace sprite::agent
