#pragma once
/// Hidden VMs: those that are nobody's. Blanks wait to become a sprite's, others are there to make a template of.
///
/// The folder of such a VM holds a mark, which is there before anything else of it and goes either with all of it or
/// when the VM has become a sprite's: its agent has acknowledged its new identity, or, in a wake, before the saved
/// memory is used up. So whatever was killed in between, a mark names exactly what is left over; a VM that has one
/// never serves anybody, whatever a sprite's record says.
#include <vector>

#include "sprite/host.h"

namespace sprite::hidden_vms {

/// A new VM's id; its folder is there and marked. Errors: as system_error.
Result<std::string> begin(const Host& host);
bool is_hidden(const Host& host, const std::string& vm_id);
/// It is a sprite's from now on. Errors: as system_error.
Result<> hand_over(const Host& host, const std::string& vm_id);
/// Ends the VM, if there is one, and removes its memory and its folder. Blocks. Errors: unavailable, as system_error.
Result<> end(const Host& host, vm::Hypervisor& hypervisor, const std::string& vm_id);
/// The ids of all there are, those of earlier daemons included. Errors: as system_error.
Result<std::vector<std::string>> all(const Host& host);

}  // namespace sprite::hidden_vms
