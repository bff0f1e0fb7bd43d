#pragma once
/// A MachineSpec as the XML that libvirt takes. Pure: the same input gives the same text (tests/unit/vm has it whole).
#include <string>

#include "vm/hypervisor.h"
#include "vm/network.h"

namespace sprite::vm {

/// What is the same for every machine of this host.
struct Platform {
  Accelerator accelerator = Accelerator::emulation;
  Path emulator;             ///< "/usr/bin/qemu-system-x86_64"
  std::string machine_type;  ///< Versioned, "pc-q35-7.2": a saved RAM image fits no other.
  Network network = Network::passt;
  /// Emulation: told to guests, whose own measuring fails on a busy host and leaves a clock that runs several times too
  /// fast. 0: they measure.
  unsigned long tsc_khz = 0;
  Path launcher;  ///< What libvirt starts in the emulator's place; empty: the emulator itself.
};

/// Whether QEMU boots the kernel or waits for a saved state.
enum class Beginning { boot, wait };

/// The machine's name in libvirt: "sprite-" and the first 12 hex digits of its domain's id.
std::string domain_name(const std::string& domain_id);

/// The domain's XML. `domain_id` is a UUID of this one start: libvirt keeps the one before for a while. Memory, disk
/// and network go in as QEMU options: libvirt 9.0 has no path per domain for memory, drops the disk's reconnect delay
/// silently, and refuses passt.
std::string domain_xml(const MachineSpec& spec, const std::string& domain_id, const Platform& platform,
                       Beginning beginning = Beginning::boot);

/// A checksum of the domain's XML without what may differ between a machine that is saved and one that is loaded.
std::string devices_checksum(const MachineSpec& spec, Platform platform);

}  // namespace sprite::vm
