#pragma once
/// Root: where the packed form of a layer begins.
#include <array>
#include <cstdint>

#include "base/bytes.h"

namespace sprite::store {

/// A pack's name: the SHA-256 of its bytes.
using PackName = std::array<std::byte, 32>;

/// The top node of a map: an object in a pack.
struct Root {
  static constexpr std::size_t wire_bytes = 44;
  PackName pack{};
  std::uint32_t offset = 0, length = 0, checksum = 0;

  bool operator==(const Root&) const = default;
};

}  // namespace sprite::store
