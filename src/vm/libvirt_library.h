#pragma once
/// libvirt's library, loaded when a hypervisor is first opened: with the 45 libraries that it brings it would make
/// every start of the program four times as long, and only the daemon needs it.
#include "base/result.h"

namespace sprite::vm {

/// Loads libvirt, once per process; before any other call of it. Errors: unavailable (not installed, or too old).
Result<> load_libvirt();

}  // namespace sprite::vm
