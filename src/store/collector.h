#pragma once
/// Collector: removes packs that nothing needs, after what is needed of those of which little is has been moved
/// (repacker.h). Any error while finding out what is needed ends it with nothing removed.
#include <chrono>
#include <vector>

#include "store/pack.h"

namespace sprite::store {

enum class DryRun { no, yes };

struct CollectPolicy {
  std::chrono::seconds age_min{0};    ///< of packs that are removed
  std::uint64_t sparse_percent = 30;  ///< a pack of which less is needed is rewritten, where that pays
  DryRun dry_run = DryRun::no;
};

struct Collected {
  std::size_t packs_needed = 0, packs_removed = 0;
  std::uint64_t bytes_needed = 0, bytes_removed = 0;
  std::size_t packs_rewritten = 0;  ///< of which little was needed; counted among those removed, too
  bool postponed = false;           ///< sparse packs stay until there is space to rewrite them
};

/// Lists the directory of every volume on this host, half-made ones included.
using Volumes = std::function<Result<std::vector<Path>>()>;

/// Removes the packs that no volume's layers and checkpoints need, and rewrites sparse ones while there is space for
/// it. Seals and forks of this process wait while packs are removed, so that an age of 0 is safe where no other process
/// uses the packs. Errors: corrupt, not_found (a pack that is needed is missing), unavailable; nothing that is needed
/// is removed then.
Result<Collected> collect_packs(PackStore& packs, const Volumes& volumes, const CollectPolicy& policy = {});

}  // namespace sprite::store
