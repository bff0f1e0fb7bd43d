#pragma once
/// HiddenBlocks: what layers with local files hold of blocks that newer layers hide.
///
/// A sealed layer's local files are a copy of what is in packs, so that it may forget any block whose bytes reads then
/// find there: one that no older local layer holds, since those come before the packs.
#include <memory>
#include <vector>

#include "store/layer.h"

namespace sprite::store {

/// A layer that may forget blocks, or may not, but hides those of older ones all the same.
struct HidingLayer {
  std::shared_ptr<Layer> layer;
  bool may_forget = false;
};

/// What each layer can forget in `count` words of states from `first` on: a first bit for each block; empty for
/// nothing. `newest_first` are those that reads go through, without the top.
std::vector<std::vector<std::uint64_t>> hidden_blocks(const std::vector<HidingLayer>& newest_first, std::size_t first,
                                                      std::size_t count);

/// Bytes of the host's disk that forgetting them would give back.
std::uint64_t hidden_bytes(const std::vector<HidingLayer>& newest_first);

}  // namespace sprite::store
