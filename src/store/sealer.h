#pragma once
/// Sealing: an immutable layer becomes objects in packs and a new Root.
///
/// Only chunks that the layer touches are looked at, and one that is equal to what the map before has is not written
/// again. The result depends on nothing but the content, so that equal layers of two sprites give equal packs. A crash
/// in between leaves packs that nothing names; the collector removes them.
#include <atomic>

#include "store/chain.h"

namespace sprite::store {

struct Sealed {
  Root root{};
  std::uint64_t chunks_touched = 0, chunks_written = 0;  ///< chunks_written: not counting zeros and equal ones
  std::uint64_t packed_bytes = 0;                        ///< compressed, map nodes included
  std::uint64_t replaced_bytes = 0;                      ///< compressed, of the map before: this one does not need them
};

/// Seals a layer. `touched`: its states; `view`: the volume as of this layer; `before`: the map of what lies below,
/// null if there is none. The caller holds packs.naming(). Gives up once `ending` is set. Errors: no_space, corrupt,
/// unavailable (gave up, too).
Result<Sealed> seal_layer(PackStore& packs, const BlockStates& touched, std::uint64_t volume_bytes, const Chain& view,
                          const PackedMap* before, const std::atomic<bool>& ending);

}  // namespace sprite::store
