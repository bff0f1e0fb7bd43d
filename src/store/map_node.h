#pragma once
/// Node: a piece of a volume's map, as it lies in packs. FORMAT.md has the bytes.
///
/// A map is a tree of three levels with 256 entries per node. Level 0 names chunks, level 1 nodes of level 0, level 2
/// (the root) nodes of level 1. Nodes are immutable and shared between layers, checkpoints and sprites, as in git: a
/// seal writes new nodes on the paths to what changed, and a whole volume of any age is one Root.
#include <memory>

#include "store/pack.h"

namespace sprite::store {

struct Entry {
  enum class Kind : std::uint8_t { absent = 0, zero = 1, object = 2 };
  Kind kind = Kind::absent;
  std::uint16_t pack = 0;  ///< index into Node::packs
  ObjectPlace place{};
};

struct Node {
  static constexpr std::size_t fanout = 256;
  static constexpr unsigned levels = 3;
  /// Chunks that one entry of a node of `level` stands for.
  static constexpr std::uint64_t chunks_per_entry(unsigned level) { return std::uint64_t{1} << (8 * level); }

  unsigned level = 0;
  std::vector<PackName> packs{};  ///< In memory the node's own pack is one of them.
  std::array<Entry, fanout> entries{};

  const PackName& pack_of(const Entry& entry) const { return packs[entry.pack]; }
  /// The bytes of the node; entries whose pack is all zeros are said to be in the node's own pack.
  Bytes encode() const;
  /// `own`: the pack that the bytes come from. Errors: corrupt.
  static Result<Node> decode(ByteView bytes, unsigned expected_level, const PackName& own);
};

/// The largest volume that three levels can map: 1 TiB.
constexpr std::uint64_t map_bytes_max = Node::chunks_per_entry(3) * chunk_bytes;

}  // namespace sprite::store
