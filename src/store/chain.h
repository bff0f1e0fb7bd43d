#pragma once
/// Chain: what reads go through: the layers of a volume, the newest first.
#include <vector>

#include "store/layer.h"

namespace sprite::store {

class Chain {
 public:
  struct Source {
    int file = -1;
    const BlockStates* states = nullptr;
  };
  /// Blocks in a row that come from one place; file is -1 if they are in no layer.
  struct Piece {
    int file = -1;
    BlockState state = BlockState::absent;
    std::uint64_t count = 0;
  };
  enum class Wait { no, yes };

  explicit Chain(std::vector<Source> sources) : sources_(std::move(sources)) {}

  /// Where the blocks from `first` on are to be found; at most `count` (> 0) of them.
  Piece find(std::uint64_t first, std::uint64_t count) const;
  /// Fills `out`; without waiting, false means that it would have had to. Errors: unavailable.
  Result<bool> read(std::uint64_t offset, MutableByteView out, Wait wait) const;

 private:
  std::vector<Source> sources_;
};

}  // namespace sprite::store
