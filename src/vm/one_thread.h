#pragma once
/// A QEMU that emulates all processors of a machine in one thread of the host.
///
/// QEMU before 8.1 reads code for its translation without a lock against the machine's other processors: what one of
/// them writes into that code meanwhile goes unnoticed, and the stale translation is run from then on. Linux changes
/// its own code all the time (static keys), and so do just-in-time compilers. Of cold boots on a busy host about one in
/// a hundred hung so, with both processors at 100 %; one thread cannot be overtaken by itself.
#include "base/file.h"
#include "vm/hypervisor.h"

namespace sprite::vm {

/// Whether the several threads of this QEMU get in each other's way. `qemu` as libvirt counts it: 7.2.22 is 7002022.
bool needs_one_thread(Accelerator accelerator, unsigned long qemu);

/// A program in `directory` that takes QEMU's place in front of `emulator`, since libvirt knows no such setting; is
/// left alone where it is as it should be. Errors: as write_file_atomically(), as system_error (no such emulator).
Result<Path> one_thread_launcher(const Path& directory, const Path& emulator);

}  // namespace sprite::vm
