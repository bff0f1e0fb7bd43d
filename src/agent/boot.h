#pragma once
/// The first steps of the VM, as PID 1 of the initramfs.
#include "agent/modules.h"
#include "base/file.h"
#include "base/result.h"

namespace sprite::agent {

/// Where the disk is mounted, and what the container sees as /.sprite.
inline const Path disk_folder = "/disk";
inline const Path inside_folder = "/inside";
/// What the container sees in place of the kernel's boot id.
inline const Path boot_id_file = inside_folder / "boot_id";
inline constexpr auto kernel_boot_id = "/proc/sys/kernel/random/boot_id";

inline constexpr auto disk_device = "/dev/vda";
inline constexpr auto checkpoints_device = "/dev/vdb";

/// Moves the root to a place that a container can leave, mounts /proc, /sys, /dev, /run and the control groups, and
/// limits what the kernel may be made to run. Errors: as system_error.
Result<> prepare_root();
/// Loads what the disk, the channel and the network need. Errors: as system_error.
Result<Modules> load_needed_modules();
/// Loads every other module that came along (those that users' programs may need), then lets nobody load any more.
void load_other_modules(Modules& modules);
/// Waits for /dev/vda and mounts it. Errors: unavailable (no disk), as system_error.
Result<> mount_disk();
/// Drops what the kernel keeps of the unmounted disk's content, which may be another afterwards.
void forget_disk();
/// Opens the channel's port. Errors: not_found (no such port), as system_error.
Result<Fd> open_channel_port();

}  // namespace sprite::agent
