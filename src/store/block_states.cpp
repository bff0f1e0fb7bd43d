#include "store/block_states.h"

#include <algorithm>

namespace sprite::store {
namespace {

/// A word of 32 blocks in `state`.
constexpr std::uint64_t filled(BlockState state) { return first_bits * static_cast<std::uint64_t>(state); }

}  // namespace

Run BlockStates::run(std::uint64_t first, std::uint64_t count) const {
  // The first block's state is of the same load as its neighbours': a change in between must not make a run of nothing.
  std::uint64_t loaded = word(first / blocks_per_word);
  const auto state = static_cast<BlockState>(loaded >> (2 * (first % blocks_per_word)) & 3);
  const std::uint64_t expected = filled(state);
  for (std::uint64_t found = 0;;) {
    const std::uint64_t within = (first + found) % blocks_per_word;
    const std::uint64_t differing = (loaded ^ expected) >> (2 * within);
    found += differing == 0 ? blocks_per_word - within : static_cast<std::uint64_t>(std::countr_zero(differing)) / 2;
    if (differing != 0 || found >= count) return {state, std::min(found, count)};
    loaded = word((first + found) / blocks_per_word);
  }
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
