#pragma once
/// What makes two machines differ below the file system: randomness and the clock.
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace sprite::agent {

/// Mixes `hex` into the kernel's random state and reseeds from it. Errors: invalid (not hexadecimal), as system_error.
Result<> add_entropy(std::string_view hex);
/// Sets the clock to `unix_ns`. Errors: as system_error.
Result<> set_clock(std::int64_t unix_ns);
/// The boot id that programs see: a file of ours that lies over the kernel's, which is the same in every machine that
/// goes on from one saved state. At first it is the kernel's. Errors: as system_error.
Result<> publish_boot_id();
/// Another one, at random. Errors: as system_error.
Result<> renew_boot_id();

}  // namespace sprite::agent
