#pragma once
/// Collector: removes packs that nothing needs. Any error while finding out what is needed ends it with nothing
/// removed.
#include <chrono>
#include <vector>

#include "store/pack.h"

namespace sprite::store {

enum class DryRun { no, yes };

struct Collected {
  std::size_t packs_needed = 0, packs_removed = 0;
  std::uint64_t bytes_needed = 0, bytes_removed = 0;
};

/// Lists the directory of every volume on this host, half-made ones included.
using Volumes = std::function<Result<std::vector<Path>>()>;

/// Removes the packs that no volume's layers and checkpoints need and that are older than `age_min`. Seals and forks of
/// this process wait meanwhile, so that 0 is safe where no other process uses the packs. Errors: corrupt, not_found (a
/// pack that is needed is missing), unavailable; nothing is removed then.
Result<Collected> collect_packs(PackStore& packs, const Volumes& volumes, std::chrono::seconds age_min, DryRun dry_run);

}  // namespace sprite::store
