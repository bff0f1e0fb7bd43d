#pragma once
/// Checkpoints' filesystems, mounted read-only.
///
/// The machine has one more disk, which holds every checkpoint at a place of its own and cannot be written
/// (store/checkpoint_disk.h). A checkpoint becomes a partition of it, for as long as it is mounted somewhere. Mounted
/// with `noload`: the journal is not replayed. Where the filesystem was frozen or unmounted for the checkpoint it is
/// empty.
#include <cstdint>
#include <map>
#include <mutex>

#include "base/file.h"

namespace sprite::agent {

/// The partitions that there are. Thread-safe.
class CheckpointPartitions {
 public:
  /// The partition that begins at `offset`, made unless there is one; give it back with release(). Errors: unavailable
  /// (no such disk, too many partitions).
  Result<Path> acquire(std::uint64_t offset);
  void release(std::uint64_t offset);

 private:
  struct Partition {
    int number = 0;
    int users = 0;  ///< 0: could not be removed, since something still has it open
  };
  void remove_unused(const Fd& disk);

  std::mutex mutex_;
  std::map<std::uint64_t, Partition> partitions_;  ///< by offset
};

/// One mounted checkpoint; unmounted when destroyed (for those who still use it, when they stop).
class CheckpointMount {
 public:
  /// Mounts what begins at `offset` on the existing folder `at`. Errors: unavailable.
  static Result<CheckpointMount> make(CheckpointPartitions& partitions, std::uint64_t offset, Path at);
  CheckpointMount(CheckpointMount&& other) noexcept
      : partitions_(std::exchange(other.partitions_, nullptr)), offset_(other.offset_), at_(std::move(other.at_)) {}
  CheckpointMount& operator=(CheckpointMount&&) = delete;
  ~CheckpointMount();

  std::uint64_t offset() const { return offset_; }
  const Path& at() const { return at_; }
  /// Unmounts it unless somebody uses it; then false.
  bool try_unmount();

 private:
  CheckpointMount(CheckpointPartitions& partitions, std::uint64_t offset, Path at)
      : partitions_(&partitions), offset_(offset), at_(std::move(at)) {}
  CheckpointPartitions* partitions_;
  std::uint64_t offset_;
  Path at_;
};

}  // namespace sprite::agent
