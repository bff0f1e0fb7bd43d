#pragma once
/// CRC-32C, the checksum of every format here.
#include <cstdint>

#include "base/bytes.h"

namespace sprite::store {

std::uint32_t checksum(ByteView bytes);

}  // namespace sprite::store
