#pragma once
/// Chain: what reads go through: local layers, the newest first, then packs, then the image.
#include "store/layer.h"
#include "store/packed_map.h"

namespace sprite::store {

class Chain {
 public:
  struct Source {
    int file = -1;
    const BlockStates* states = nullptr;
  };
  /// Blocks in a row that come from one place.
  struct Piece {
    enum class From { nowhere, zeros, file, pack };
    From from = From::nowhere;
    std::uint64_t count = 0;
    int file = -1;             ///< From::file
    PackedMap::Found chunk{};  ///< From::pack: the blocks lie within it
    bool reads_as_zeros() const { return from == From::nowhere || from == From::zeros; }
  };
  /// `packed` may be null. The files and states of the sources must outlive this.
  Chain(std::vector<Source> local, std::shared_ptr<const PackedMap> packed, std::optional<Source> image)
      : local_(std::move(local)), packed_(std::move(packed)), image_(image) {}

  /// Where the blocks from `first` on are to be found; at most `count` (> 0) of them. Errors: as PackedMap::find().
  Result<Piece> find(std::uint64_t first, std::uint64_t count) const;
  /// Fills `out`; without waiting, false means that it would have had to. Errors: unavailable, corrupt.
  Result<bool> read(std::uint64_t offset, MutableByteView out, Wait wait) const;

 private:
  std::optional<Piece> find_local(std::uint64_t first, std::uint64_t& count) const;
  std::optional<Piece> find_within(std::uint64_t first, std::uint64_t& count) const;
  Result<std::optional<Piece>> find_below(std::uint64_t first, std::uint64_t count, Wait wait) const;

  std::vector<Source> local_;
  std::shared_ptr<const PackedMap> packed_;
  std::optional<Source> image_;
};

}  // namespace sprite::store
