#pragma once
/// Disk: the path of reads and writes over a volume's layers. It knows no database and changes no layers by itself.
///
/// Locks, in order: the gate (passed by every call; closed only to exchange layers), then stripes of the top layer.
#include <mutex>
#include <shared_mutex>

#include "nbd/device.h"
#include "store/chain.h"
#include "store/gate.h"
#include "store/top_layer.h"

namespace sprite::store {

/// The layers of an open volume.
struct Layers {
  std::unique_ptr<TopLayer> top;
  std::vector<std::shared_ptr<Layer>> lower;  ///< the newest first
  std::shared_ptr<const PackedMap> packed;    ///< below all of them; may be null
  std::shared_ptr<Layer> image;               ///< below everything
};

class Disk {
 public:
  Disk(std::uint64_t size_bytes, Layers layers);

  std::uint64_t size_bytes() const { return size_bytes_; }
  Result<bool> read(std::uint64_t offset, MutableByteView out, Wait wait);
  Result<> write(std::uint64_t offset, ByteView data);
  Result<> flush();
  /// What trim and write-zeroes do.
  Result<> zero(std::uint64_t offset, std::uint64_t length);
  Result<std::vector<nbd::Extent>> block_status(std::uint64_t offset, std::uint64_t length, std::size_t extents_max);

  /// Calls `change` on the layers while no other call is inside.
  template <class Change>
  Result<> exchange(Change change) {
    const std::unique_lock closed(gate_);
    auto changed = change(layers_);
    chain_ = chain_of(layers_);
    return changed;
  }
  /// Calls `look` with the layers, which meanwhile stay as they are.
  template <class Look>
  auto with_layers(Look look) {
    const std::shared_lock pass(gate_);
    return look(std::as_const(layers_));
  }

 private:
  static Chain chain_of(const Layers& layers);
  Result<> write_blocks(std::uint64_t first, ByteView data);
  Result<> write_part(std::uint64_t offset, ByteView data);
  Result<> zero_parts(std::uint64_t offset, std::uint64_t end);
  Result<> zero_blocks(std::uint64_t first, std::uint64_t count);

  const std::uint64_t size_bytes_;
  Gate gate_;
  Layers layers_;
  Chain chain_;
};

}  // namespace sprite::store
