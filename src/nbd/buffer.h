#pragma once
/// Buffer: bytes that are not initialised, since they are about to be overwritten by the kernel.
#include <memory>

#include "base/bytes.h"

namespace sprite::nbd {

class Buffer {
 public:
  std::size_t size() const { return size_; }
  std::byte* data() { return bytes_.get(); }
  const std::byte* data() const { return bytes_.get(); }

  /// A buffer of `size` bytes whose first `kept` are the old ones.
  void resize(std::size_t size, std::size_t kept = 0) {
    auto bytes = std::make_unique_for_overwrite<std::byte[]>(size);
    if (kept > 0) std::memcpy(bytes.get(), bytes_.get(), kept);
    bytes_ = std::move(bytes);
    size_ = size;
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0;
};

}  // namespace sprite::nbd
