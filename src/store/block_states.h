#pragma once
/// BlockStates: what a layer holds of each 4 KiB block, two bits per block in little-endian 64-bit words.
#include <atomic>
#include <bit>
#include <cstdint>
#include <span>

#include "base/bytes.h"

namespace sprite::store {

constexpr std::uint64_t block_bytes = 4 * KiB;

/// absent: look in the layer below. Fixed by the file format.
enum class BlockState : std::uint8_t { absent = 0, data = 1, zero = 2 };

/// Blocks of one state, in a row.
struct Run {
  BlockState state = BlockState::absent;
  std::uint64_t count = 0;
};

constexpr std::uint64_t first_bits = 0x5555555555555555U;  ///< The lower one of each block in a word.
/// The first bit of each block of a word that is not absent, or is data, or is zero.
constexpr std::uint64_t held_in(std::uint64_t word) { return (word | word >> 1) & first_bits; }
constexpr std::uint64_t data_in(std::uint64_t word) { return word & first_bits; }
constexpr std::uint64_t zeros_in(std::uint64_t word) { return word >> 1 & first_bits; }

/// A view of words that threads read while others change them. A reader sees each block's old or new state; changes of
/// blocks in one word must not run at once (their makers hold the stripe, see top_layer.h).
class BlockStates {
 public:
  static constexpr std::uint64_t blocks_per_word = 32;
  static constexpr std::uint64_t words_for(std::uint64_t blocks) {
    return (blocks + blocks_per_word - 1) / blocks_per_word;
  }

  BlockStates() = default;
  explicit BlockStates(std::span<std::uint64_t> words) : words_(words) {
    static_assert(std::endian::native == std::endian::little);
  }

  std::span<std::uint64_t> words() const { return words_; }
  BlockState at(std::uint64_t block) const {
    return static_cast<BlockState>(word(block / blocks_per_word) >> (2 * (block % blocks_per_word)) & 3);
  }
  /// The run that starts at `first`, cut off at `count` (> 0) blocks; never of no block, whatever changes meanwhile.
  Run run(std::uint64_t first, std::uint64_t count) const;
  bool all(std::uint64_t first, std::uint64_t count, BlockState state) const {
    const Run found = run(first, count);
    return found.state == state && found.count == count;
  }
  void set(std::uint64_t first, std::uint64_t count, BlockState state);

 private:
  std::uint64_t word(std::uint64_t index) const {
    return std::atomic_ref<std::uint64_t>(words_[index]).load(std::memory_order_acquire);
  }
  std::span<std::uint64_t> words_;
};

}  // namespace sprite::store
