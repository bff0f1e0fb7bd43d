#include "store/block_states.h"

#include <algorithm>

namespace sprite::store {
namespace {

/// A word of 32 blocks in `state`.
constexpr std::uint64_t filled(BlockState state) { return 0x5555555555555555U * static_cast<std::uint64_t>(state); }

}  // namespace

Run BlockStates::run(std::uint64_t first, std::uint64_t count) const {
  const BlockState state = at(first);
  const std::uint64_t expected = filled(state);
  std::uint64_t found = 0;
  while (found < count) {
    const std::uint64_t block = first + found, within = block % blocks_per_word;
    const std::uint64_t differing = (word(block / blocks_per_word) ^ expected) >> (2 * within);
    const std::uint64_t equal =
        differing == 0 ? blocks_per_word - within : static_cast<std::uint64_t>(std::countr_zero(differing)) / 2;
    found += equal;
    if (differing != 0) break;
  }
  return {state, std::min(found, count)};
}

void BlockStates::set(std::uint64_t first, std::uint64_t count, BlockState state) {
  while (count > 0) {
    const std::uint64_t index = first / blocks_per_word, within = first % blocks_per_word;
    const std::uint64_t here = std::min(count, blocks_per_word - within);
    const std::uint64_t mask = (here == blocks_per_word ? ~std::uint64_t{0} : (std::uint64_t{1} << (2 * here)) - 1)
                               << (2 * within);
    std::atomic_ref<std::uint64_t> stored(words_[index]);
    stored.store((stored.load(std::memory_order_relaxed) & ~mask) | (filled(state) & mask), std::memory_order_release);
    first += here;
    count -= here;
  }
}

}  // namespace sprite::store
