#pragma once
/// DiskServer: what a VM's QEMU reaches its disks through. Whose disk it serves is decided after QEMU has started, and
/// may change: see nbd/late_device.h.
#include "nbd/late_device.h"
#include "nbd/server.h"
#include "store/volume.h"

namespace sprite {

inline constexpr auto disk_export = "disk", checkpoints_export = "checkpoints";

class DiskServer {
  struct Made {};

 public:
  /// Listens at `socket` for the QEMU of a VM with a disk of that size. Errors: busy, unavailable, as system_error.
  static Result<std::shared_ptr<DiskServer>> start(const Path& socket, std::uint64_t disk_bytes);

  /// Serves this volume from now on; the one before is not used any more. Errors: invalid (of another size).
  Result<> bind(std::shared_ptr<store::Volume> volume);

  /// The guest wrote what finds no space on the host, and waits.
  bool waits_for_space() const { return server_->waits_for_space(); }

  /// For start().
  DiskServer(Made, std::uint64_t disk_bytes);

 private:
  std::shared_ptr<nbd::LateDevice> disk_, checkpoints_;
  std::unique_ptr<nbd::Server> server_;
};

}  // namespace sprite
