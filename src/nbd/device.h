#pragma once
/// What an NBD server serves: a block device of fixed size.
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sprite::nbd {

/// A run of bytes with one allocation state, as NBD's base:allocation tells it.
struct Extent {
  std::uint64_t length_bytes = 0;
  bool hole = false;  ///< No host storage is used.
  bool zero = false;  ///< Reads as zeros.
};

/// A block device. Calls may come from several threads at once; ranges lie inside the device and may be unaligned.
/// An answered write is visible to every later read; it is durable once a later flush() has answered.
class Device {
 public:
  virtual ~Device() = default;
  virtual std::uint64_t size_bytes() const = 0;
  /// Clients are told so, and what would change something is refused.
  virtual bool read_only() const { return false; }
  /// Fills `out`. Errors: unavailable, corrupt.
  virtual Result<> read(std::uint64_t offset, MutableByteView out) = 0;
  /// Fills `out` and is true if that needs no waiting for a disk or network; else false, with anything in `out`.
  virtual bool read_now(std::uint64_t, MutableByteView) { return false; }
  /// Errors: no_space (the caller waits and tries again: a guest must not see it), unavailable.
  virtual Result<> write(std::uint64_t offset, ByteView data) = 0;
  /// Returns once every write answered before this call is durable. Errors: no_space, unavailable.
  virtual Result<> flush() = 0;
  /// The range reads as zeros afterwards and its storage is given back. Errors: no_space, unavailable.
  virtual Result<> trim(std::uint64_t offset, std::uint64_t length) = 0;
  /// The range reads as zeros afterwards. Errors: no_space, unavailable.
  virtual Result<> write_zeroes(std::uint64_t offset, std::uint64_t length) = 0;
  /// Extents that cover the range from its start on: at least one, at most `extents_max`. Errors: unavailable.
  virtual Result<std::vector<Extent>> block_status(std::uint64_t offset, std::uint64_t length,
                                                   std::size_t extents_max) = 0;
};

}  // namespace sprite::nbd
