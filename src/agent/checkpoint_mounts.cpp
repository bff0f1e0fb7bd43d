#include "agent/checkpoint_mounts.h"

#include <linux/blkpg.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "agent/boot.h"

namespace sprite::agent {
namespace {

constexpr int partitions_max = 15;

bool change_partition(const Fd& disk, int operation, int number, std::uint64_t start = 0, std::uint64_t length = 0) {
  blkpg_partition partition{};
  partition.pno = number;
  partition.start = static_cast<long long>(start);
  partition.length = static_cast<long long>(length);
  blkpg_ioctl_arg request{operation, 0, sizeof partition, &partition};
  return ::ioctl(disk.get(), BLKPG, &request) == 0;
}

/// A checkpoint is as long as the disk that it is of.
Result<std::uint64_t> disk_bytes() {
  TRY_LET(const Fd disk, open_file(disk_device, O_RDONLY));
  std::uint64_t bytes = 0;
  if (::ioctl(disk.get(), BLKGETSIZE64, &bytes) != 0) return system_error("cannot ask for the disk's size");
  return bytes;
}

Path device_of(int number) { return checkpoints_device + std::to_string(number); }

}  // namespace

Result<Path> CheckpointPartitions::acquire(std::uint64_t offset) {
  const std::lock_guard one(mutex_);
  TRY_LET(const Fd disk, open_file(checkpoints_device, O_RDONLY));
  const auto known = partitions_.find(offset);
  if (known != partitions_.end()) {
    ++known->second.users;
    return device_of(known->second.number);
  }
  remove_unused(disk);
  TRY_LET(const std::uint64_t bytes, disk_bytes());
  for (int number = 1; number <= partitions_max; ++number) {
    if (!change_partition(disk, BLKPG_ADD_PARTITION, number, offset, bytes)) {
      if (errno == EBUSY) continue;
      return system_error("cannot make a partition of the checkpoint");
    }
    partitions_[offset] = {number, 1};
    return device_of(number);
  }
  return Error{Error::Kind::unavailable, "too many checkpoints are in use"};
}

void CheckpointPartitions::release(std::uint64_t offset) {
  const std::lock_guard one(mutex_);
  --partitions_.at(offset).users;
  if (const auto disk = open_file(checkpoints_device, O_RDONLY)) remove_unused(*disk);
}

void CheckpointPartitions::remove_unused(const Fd& disk) {
  std::erase_if(partitions_, [&](const auto& each) {
    return each.second.users == 0 && change_partition(disk, BLKPG_DEL_PARTITION, each.second.number);
  });
}

Result<CheckpointMount> CheckpointMount::make(CheckpointPartitions& partitions, std::uint64_t offset, Path at) {
  TRY_LET(const Path device, partitions.acquire(offset));
  constexpr unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME;
  if (::mount(device.c_str(), at.c_str(), "ext4", flags, "noload") != 0) {
    const Error failed = system_error("cannot mount the checkpoint");
    partitions.release(offset);
    return failed;
  }
  return CheckpointMount(partitions, offset, std::move(at));
}

CheckpointMount::~CheckpointMount() {
  if (!partitions_) return;
  (void)::umount2(at_.c_str(), MNT_DETACH);
  partitions_->release(offset_);
}

bool CheckpointMount::try_unmount() {
  if (!partitions_ || ::umount2(at_.c_str(), 0) != 0) return false;
  std::exchange(partitions_, nullptr)->release(offset_);
  return true;
}

}  // namespace sprite::agent
