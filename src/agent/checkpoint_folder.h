#pragma once
/// /.sprite/checkpoints: a folder for each of the newest checkpoints, read-only. A checkpoint is mounted when somebody
/// enters its folder, and unmounted a minute later, or when nobody is in there any more; until then it costs a name.
///
/// The kernel's automounter (autofs) does the waiting: it tells us over a pipe that somebody wants to enter a folder
/// and lets him in when we have answered. Our own process group passes without asking. What we mount here appears in
/// the container as well, since its view of this folder follows ours.
#include <optional>
#include <thread>
#include <vector>

#include "agent/checkpoint_mounts.h"
#include "base/locked.h"
#include "wire/types.h"

namespace sprite::agent {

class CheckpointFolder {
 public:
  /// Mounts the automounter on the existing folder `path` and begins to serve it. Errors: unavailable (the kernel has
  /// none).
  static Result<std::unique_ptr<CheckpointFolder>> open(const Path& path, CheckpointPartitions& partitions);
  CheckpointFolder(const CheckpointFolder&) = delete;
  ~CheckpointFolder();

  /// From now on there are these.
  void show(std::vector<wire::ShownCheckpoint> checkpoints);

 private:
  CheckpointFolder(Path path, CheckpointPartitions& partitions, Fd root, Fd requests, Fd wake)
      : path_(std::move(path)),
        partitions_(partitions),
        root_(std::move(root)),
        requests_(std::move(requests)),
        wake_(std::move(wake)) {}
  void serve();
  void answer();
  Result<> enter(const std::string& id);
  void remove_others();
  void unmount_unused();

  const Path path_;
  CheckpointPartitions& partitions_;
  const Fd root_, requests_, wake_;
  Locked<std::vector<wire::ShownCheckpoint>> shown_;
  Locked<bool> ending_;
  std::vector<CheckpointMount> mounts_;  ///< Of the thread.
  std::thread thread_;
};

}  // namespace sprite::agent
