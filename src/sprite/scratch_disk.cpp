#include "sprite/scratch_disk.h"

namespace sprite {

Result<std::unique_ptr<ScratchDisk>> ScratchDisk::make(const Host& host, const Template& of, const std::string& vm_id) {
  std::unique_ptr<ScratchDisk> scratch(new ScratchDisk(host.templates_dir() / (".scratch-" + vm_id)));
  TRY(make_directories(scratch->folder_ / "run"));
  TRY(of.disk->fork(scratch->folder_, of.cut));
  TRY_LET(scratch->volume_, host.open_volume_at(scratch->folder_, scratch->folder_ / "run"));
  return scratch;
}

ScratchDisk::~ScratchDisk() {
  volume_.reset();
  (void)remove_tree(folder_);
}

}  // namespace sprite
