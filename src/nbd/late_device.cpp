#include "nbd/late_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

namespace sprite::nbd {

Result<> LateDevice::bind(std::shared_ptr<Device> device) {
  if (device && device->size_bytes() != size_bytes_)
    return Error{Error::Kind::invalid, fmt::format("a disk of {} bytes cannot take the place of one of {}",
                                                   device->size_bytes(), size_bytes_)};
  const std::unique_lock alone(exchanging_);
  device_ = std::move(device);
  return {};
}

Result<Device*> LateDevice::bound() const {
  if (device_) return device_.get();
  return Error{Error::Kind::unavailable, "the disk is nobody's yet"};
}

Result<> LateDevice::read(std::uint64_t offset, MutableByteView out) {
  const std::shared_lock hold(exchanging_);
  if (device_) return device_->read(offset, out);
  std::ranges::fill(out, std::byte{0});
  return {};
}

bool LateDevice::read_now(std::uint64_t offset, MutableByteView out) {
  const std::shared_lock hold(exchanging_);
  return device_ && device_->read_now(offset, out);
}

Result<> LateDevice::write(std::uint64_t offset, ByteView data) {
  const std::shared_lock hold(exchanging_);
  TRY_LET(Device * device, bound());
  return device->write(offset, data);
}

Result<> LateDevice::flush() {
  const std::shared_lock hold(exchanging_);
  return device_ ? device_->flush() : Result<>{};
}

Result<> LateDevice::trim(std::uint64_t offset, std::uint64_t length) {
  const std::shared_lock hold(exchanging_);
  TRY_LET(Device * device, bound());
  return device->trim(offset, length);
}

Result<> LateDevice::write_zeroes(std::uint64_t offset, std::uint64_t length) {
  const std::shared_lock hold(exchanging_);
  TRY_LET(Device * device, bound());
  return device->write_zeroes(offset, length);
}

Result<std::vector<Extent>> LateDevice::block_status(std::uint64_t offset, std::uint64_t length,
                                                     std::size_t extents_max) {
  const std::shared_lock hold(exchanging_);
  if (device_) return device_->block_status(offset, length, extents_max);
  return std::vector<Extent>{{.length_bytes = length, .hole = true, .zero = true}};
}

}  // namespace sprite::nbd
