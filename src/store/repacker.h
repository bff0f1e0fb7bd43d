#pragma once
/// Repacker: moves what is needed of packs of which little is needed into new packs, so that the collector can remove
/// the old ones.
///
/// Nothing is changed in place: chunks are copied, map nodes that name them are written anew, and each volume's roots
/// are exchanged in one transaction of its volume.db. Both forms read the same, so that a crash in between only leaves
/// some volumes with the old one and some new packs that nobody names. A root that a seal or fork made meanwhile, or
/// that a volume has which nobody listed, keeps its packs: they are removed by nobody but the collector, who looks
/// again.
#include "store/collector.h"
#include "store/live_objects.h"

namespace sprite::store {

/// What one run moves at most; the next goes on.
constexpr std::uint64_t moved_bytes_max = 256 * MiB;

/// A pack on this host, and what of it is needed.
struct PackLiveness {
  PackName name{};
  std::uint64_t bytes = 0, live_bytes = 0;
};

/// Moves what is needed of those `sparse` packs (less than `sparse_percent`) for which that pays: map nodes that must
/// be written anew count, too. The caller holds packs.naming() shared. Returns how many were emptied. Errors: corrupt,
/// not_found, no_space, unavailable.
Result<std::size_t> repack(PackStore& packs, const std::vector<Path>& volumes, const std::vector<PackLiveness>& sparse,
                           std::uint64_t sparse_percent);

/// The roots that the volume in `directory` needs. Errors: as Catalogue::open().
Result<std::vector<Root>> roots_of(const Path& directory);

}  // namespace sprite::store
