#pragma once
/// Copies RAM from file to file at the cost of what is in it, with checksums.
#include <atomic>
#include <vector>

#include "base/file.h"

namespace sprite::vm {

/// Each checksum is of so many bytes of RAM.
constexpr std::uint64_t memory_block_bytes = 4 * MiB;

struct CopiedMemory {
  std::vector<std::uint32_t> checksums{};  ///< One for each block: of page numbers and bytes, all-zero pages left out.
  std::uint64_t data_bytes = 0;            ///< In pages that are not all zeros.
};

/// Copies `bytes` of RAM (whole pages) into `to`, a file of that size without data. Errors: no_space, unavailable; busy
/// (`cancelled` became true).
Result<CopiedMemory> copy_memory(const Fd& from, const Fd& to, std::uint64_t bytes, const std::atomic<bool>& cancelled);

/// Reads `bytes` of RAM that are to have the checksums `expected`. Errors: corrupt, unavailable; busy.
Result<> verify_memory(const Fd& from, std::uint64_t bytes, const std::vector<std::uint32_t>& expected,
                       const std::atomic<bool>& cancelled);

/// Copies such RAM into a file whose data is gone then. All of it is read and compared before the first byte is written
/// (a tenth of the time of the copy, whose costs are fresh pages), so that damage is known at once; and again as it is
/// copied. Errors: no_space, besides.
Result<> copy_verified_memory(const Fd& from, const Fd& to, std::uint64_t bytes,
                              const std::vector<std::uint32_t>& expected, const std::atomic<bool>& cancelled);

}  // namespace sprite::vm
