#pragma once
/// CRC-32C, by the processor's instruction where it has one.
#include <cstdint>

#include "base/bytes.h"

namespace sprite {

/// Goes on with the checksum `before` over `data`; start with 0.
std::uint32_t crc32c(std::uint32_t before, ByteView data);

/// The same without the processor's help: for machines that have none, and for the test that compares both.
std::uint32_t crc32c_portable(std::uint32_t before, ByteView data);

}  // namespace sprite
