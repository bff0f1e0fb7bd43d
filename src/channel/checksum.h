#pragma once
/// The checksum of frames: it tells a whole frame from one that was cut off, or belongs to another epoch. It is made of
/// multiplications, because an emulated processor has a slow CRC instruction; it does not resist forgery, and need not.
#include <cstdint>

#include "base/bytes.h"

namespace sprite::channel {

/// Mixes `data` into `state`; start with a seed. Zeros count, the length does not.
std::uint64_t mix(std::uint64_t state, ByteView data);
/// The checksum of what was mixed: each bit of it depends on every bit of the state.
std::uint32_t finish(std::uint64_t state);

}  // namespace sprite::channel
