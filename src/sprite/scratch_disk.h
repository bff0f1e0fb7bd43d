#pragma once
/// ScratchDisk: one for the moments in which a VM that goes on from a template still has the template's disk, before it
/// gets its sprite's.
#include "sprite/templates.h"

namespace sprite {

class ScratchDisk {
 public:
  /// A fork of the template's disk for the VM of that id. Errors: as store::Volume::fork().
  static Result<std::unique_ptr<ScratchDisk>> make(const Host& host, const Template& of, const std::string& vm_id);
  /// Removes it; nobody may use it any more. What a crash leaves is removed by Templates::open().
  ~ScratchDisk();
  ScratchDisk(const ScratchDisk&) = delete;

  const std::shared_ptr<store::Volume>& volume() const { return volume_; }

 private:
  explicit ScratchDisk(Path folder) : folder_(std::move(folder)) {}
  Path folder_;
  std::shared_ptr<store::Volume> volume_;
};

}  // namespace sprite
