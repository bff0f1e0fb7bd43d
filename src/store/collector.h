#pragma once
/// Collector: removes packs that nothing needs. Any error while finding out what is needed ends it with nothing
/// removed.
#include <chrono>
#include <span>
#include <vector>

#include "store/pack.h"

namespace sprite::store {

/// Every root that the volume in `directory` names: its layers' and its checkpoints'. It may be open. Errors: as
/// opening it.
Result<std::vector<Root>> roots_of_volume(const Path& directory);

enum class DryRun { no, yes };

struct Collected {
  std::size_t packs_needed = 0, packs_removed = 0;
  std::uint64_t bytes_needed = 0, bytes_removed = 0;
};

/// Removes the packs that no map below `roots` names and that are older than `age_min` (0 is safe as long as nobody
/// outside this process seals or forks: inside, the collector waits for those). Errors: corrupt, not_found (a needed
/// pack is missing: nothing is removed), unavailable.
Result<Collected> collect_packs(PackStore& packs, std::span<const Root> roots, std::chrono::seconds age_min,
                                DryRun dry_run);

}  // namespace sprite::store
