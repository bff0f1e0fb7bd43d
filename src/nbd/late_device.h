#pragma once
/// LateDevice: a device whose size is known at once and its content later, and which may become another while clients
/// stay connected (they must not expect it to keep what it held: nobody may have it mounted).
#include <memory>
#include <shared_mutex>

#include "nbd/device.h"

namespace sprite::nbd {

enum class Writable { no, yes };

/// Until bind() it reads as zeros (a client may look for a partition table), and cannot be written.
class LateDevice final : public Device {
 public:
  LateDevice(std::uint64_t size_bytes, Writable writable) : size_bytes_(size_bytes), writable_(writable) {}

  /// It is `device` from now on; what it was before is used by no call any more. Errors: invalid (of another size).
  Result<> bind(std::shared_ptr<Device> device);

  std::uint64_t size_bytes() const override { return size_bytes_; }
  bool read_only() const override { return writable_ == Writable::no; }
  Result<> read(std::uint64_t offset, MutableByteView out) override;
  bool read_now(std::uint64_t offset, MutableByteView out) override;
  Result<> write(std::uint64_t offset, ByteView data) override;
  Result<> flush() override;
  Result<> trim(std::uint64_t offset, std::uint64_t length) override;
  Result<> write_zeroes(std::uint64_t offset, std::uint64_t length) override;
  Result<std::vector<Extent>> block_status(std::uint64_t offset, std::uint64_t length,
                                           std::size_t extents_max) override;

 private:
  Result<Device*> bound() const;

  const std::uint64_t size_bytes_;
  const Writable writable_;
  std::shared_mutex exchanging_;  ///< Shared by every call, so that bind() waits for those under way.
  std::shared_ptr<Device> device_;
};

}  // namespace sprite::nbd
