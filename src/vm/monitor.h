#pragma once
/// QEMU's monitor, through libvirt: what libvirt has no call for. libvirt takes note that it was used and goes on.
#include <libvirt/libvirt.h>

#include <string>

#include "base/file.h"
#include "base/result.h"

namespace sprite::vm {

/// Makes QEMU leave out of the saved state (and expect from nowhere) the RAM that is a shared mapping of a file.
/// Errors: unavailable.
Result<> leave_memory_to_its_file(virDomainPtr domain);
/// Begins to send the state to whoever listens at that Unix socket. Errors: unavailable.
Result<> send_state_to(virDomainPtr domain, const Path& socket);
/// Makes QEMU listen at that Unix socket, which it makes, for a state. Errors: unavailable.
Result<> await_state_at(virDomainPtr domain, const Path& socket);

enum class Transfer { none, under_way, completed, failed };

/// How far the sending or receiving of a state is. Errors: unavailable.
Result<Transfer> transfer_of_state(virDomainPtr domain);

/// Whether QEMU still waits for a state. Errors: unavailable.
Result<bool> awaits_state(virDomainPtr domain);

}  // namespace sprite::vm
