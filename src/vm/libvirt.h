#pragma once
/// The Hypervisor that runs machines: libvirt, embedded in our process or at another URI.
#include <functional>
#include <memory>
#include <string>

#include "vm/accelerator.h"
#include "vm/hypervisor.h"

namespace sprite::vm {

struct LibvirtOptions {
  std::string uri;  ///< Empty: embedded under `directory`. Else such as "qemu:///session".
  Path directory;   ///< <data>/libvirt: libvirt's root when embedded, and our records of the machines.
  Path short_name;  ///< Where a link to `directory` is made, as a name short enough for sockets below it. Empty: not
                    ///< needed.
  AcceleratorChoice accelerator = AcceleratorChoice::automatic;
  std::function<void(const std::string&)> on_notice;  ///< Told of what takes seconds, before it does; may be empty.
};

/// Opens the hypervisor; machines that an earlier process started are found again, and what ended ones left behind is
/// removed. The first time in a directory libvirt probes QEMU for 4-8 s. One embedded directory per process. Errors:
/// unavailable (no QEMU, no libvirt, no user libvirt-qemu as root, KVM demanded in vain), busy (another process has it
/// open), invalid (path too long), as system_error.
Result<std::unique_ptr<Hypervisor>> open_libvirt(LibvirtOptions options);

}  // namespace sprite::vm
