#pragma once
/// CheckpointDisk: every checkpoint of a volume on one disk that cannot be written, so that a machine with this one
/// device can look at any of them. Checkpoint n begins at checkpoint_offset(n) and is as long as the volume; the rest,
/// the beginning included (a guest looks there for partitions), reads as zeros. What has been removed cannot be read.
#include "nbd/device.h"
#include "store/catalogue.h"
#include "store/chain.h"

namespace sprite::store {

class Keeper;

/// Where checkpoint `number` begins. No volume is longer than what lies between two of them.
constexpr std::uint64_t checkpoint_offset(std::int64_t number) {
  return (static_cast<std::uint64_t>(number) + 1) * volume_bytes_max;
}

constexpr std::uint64_t checkpoint_disk_bytes = std::uint64_t{1} << 62;

class CheckpointDisk final : public nbd::Device {
 public:
  /// `keeper` must outlive this.
  explicit CheckpointDisk(Keeper& keeper) : keeper_(keeper) {}

  bool read_only() const override { return true; }
  std::uint64_t size_bytes() const override { return checkpoint_disk_bytes; }
  Result<> read(std::uint64_t offset, MutableByteView out) override;
  bool read_now(std::uint64_t offset, MutableByteView out) override;
  Result<> write(std::uint64_t offset, ByteView data) override;
  Result<> flush() override { return {}; }
  Result<> trim(std::uint64_t offset, std::uint64_t length) override;
  Result<> write_zeroes(std::uint64_t offset, std::uint64_t length) override;
  Result<std::vector<nbd::Extent>> block_status(std::uint64_t offset, std::uint64_t length,
                                                std::size_t extents_max) override;

 private:
  Result<bool> read(std::uint64_t offset, MutableByteView out, Wait wait);
  Result<bool> read_checkpoint(std::int64_t number, std::uint64_t offset, MutableByteView out, Wait wait);
  Keeper& keeper_;
};

}  // namespace sprite::store
