#pragma once
/// Opening libvirt: where it is, and what it and QEMU can do here.
#include <memory>

#include "vm/domain_xml.h"
#include "vm/libvirt.h"
#include "vm/libvirt_handles.h"
#include "vm/qemu_logs.h"

namespace sprite::vm {

/// What opening finds out, in the order in which it must be undone last.
struct Opened {
  std::unique_ptr<EventLoop> events;
  Connection connection;
  Platform platform;
  Facts facts;
  Path log_directory;  ///< Where libvirt keeps what QEMU wrote.
  QemuLogs::Owner log_owner = QemuLogs::Owner::system;
};

/// Errors: as open_libvirt().
Result<Opened> open_connection(const LibvirtOptions& options);

}  // namespace sprite::vm
