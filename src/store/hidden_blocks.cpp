#include "store/hidden_blocks.h"

#include <algorithm>
#include <bit>

namespace sprite::store {
namespace {

/// Calls `found(layer, block bits)` for what each layer can forget in one word of states.
template <class Found>
void look(const std::vector<HidingLayer>& newest_first, std::size_t word, Found found) {
  std::uint64_t in_older = 0;
  for (std::size_t i = newest_first.size(); i-- > 0;) {
    const std::uint64_t held = held_in(newest_first[i].layer->states().words()[word]);
    if (held == 0) continue;
    std::uint64_t in_newer = 0;
    for (std::size_t newer = 0; newer < i; ++newer)
      in_newer |= held_in(newest_first[newer].layer->states().words()[word]);
    const std::uint64_t hidden = newest_first[i].may_forget ? held & in_newer & ~in_older : 0;
    in_older |= held & ~hidden;
    if (hidden != 0) found(i, hidden);
  }
}

}  // namespace

std::vector<std::vector<std::uint64_t>> hidden_blocks(const std::vector<HidingLayer>& newest_first, std::size_t first,
                                                      std::size_t count) {
  std::vector<std::vector<std::uint64_t>> found(newest_first.size());
  for (std::size_t word = 0; word < count; ++word)
    look(newest_first, first + word, [&](std::size_t layer, std::uint64_t blocks) {
      found[layer].resize(count);
      found[layer][word] = blocks;
    });
  return found;
}

std::uint64_t hidden_bytes(const std::vector<HidingLayer>& newest_first) {
  std::uint64_t blocks = 0;
  if (newest_first.size() < 2) return blocks;
  for (std::size_t word = 0; word < newest_first.front().layer->states().words().size(); ++word)
    look(newest_first, word, [&](std::size_t layer, std::uint64_t hidden) {
      const std::uint64_t stored = data_in(newest_first[layer].layer->states().words()[word]);
      blocks += static_cast<unsigned>(std::popcount(hidden & stored));
    });
  return blocks * block_bytes;
}

}  // namespace sprite::store
