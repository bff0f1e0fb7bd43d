#include "store/collector.h"

#include "base/failpoint.h"
#include "store/repacker.h"

namespace sprite::store {
namespace {

/// Removes what nothing needs; returns what else there is of which little is needed.
Result<std::vector<PackLiveness>> remove_spent(PackStore& packs, const std::vector<Path>& volumes,
                                               const CollectPolicy& policy, Collected& collected) {
  LiveObjects live(packs);
  for (const Path& directory : volumes) {
    TRY_LET(const auto roots, roots_of(directory));
    for (const Root& root : roots) TRY(live.add(root));
  }
  std::vector<PackName> spent;
  std::vector<PackLiveness> sparse;
  std::uint64_t bytes_spent = 0;
  collected.packs_needed = collected.bytes_needed = 0;
  TRY(packs.for_each([&](const PackName& name, std::uint64_t bytes, std::chrono::seconds age) -> Result<> {
    if (live.needs(name)) {
      ++collected.packs_needed;
      collected.bytes_needed += bytes;
      if (const PackLiveness pack{name, bytes, live.bytes(name)}; pack.live_bytes * 100 < bytes * policy.sparse_percent)
        sparse.push_back(pack);
    } else if (age >= policy.age_min) {
      spent.push_back(name);
      bytes_spent += bytes;
    }
    return {};
  }));
  if (collected.packs_needed != live.packs_needed())
    return Error{Error::Kind::not_found,
                 std::to_string(live.packs_needed() - collected.packs_needed) + " packs that are needed are missing"};
  if (policy.dry_run == DryRun::no)
    for (const PackName& name : spent) {
      failpoint(Failpoint::collect_removing);
      TRY(packs.remove(name));
    }
  collected.packs_removed += spent.size();
  collected.bytes_removed += bytes_spent;
  return sparse;
}

/// As above, while nobody makes or names packs and everybody reads through what volume.db says.
Result<std::vector<PackLiveness>> remove_spent_alone(PackStore& packs, const Volumes& volumes,
                                                     const CollectPolicy& policy, Collected& collected) {
  const std::unique_lock alone(packs.naming());
  TRY(packs.remove_unfinished(policy.age_min));
  TRY(packs.tell_moved());
  TRY_LET(const std::vector<Path> directories, volumes());
  return remove_spent(packs, directories, policy, collected);
}

Result<std::size_t> repack_shared(PackStore& packs, const Volumes& volumes, const std::vector<PackLiveness>& sparse,
                                  std::uint64_t sparse_percent) {
  const std::shared_lock naming(packs.naming());
  TRY_LET(const std::vector<Path> directories, volumes());
  return repack(packs, directories, sparse, sparse_percent);
}

}  // namespace

Result<Collected> collect_packs(PackStore& packs, const Volumes& volumes, const CollectPolicy& policy) {
  Collected collected;
  if (policy.dry_run ==
      DryRun::yes) {  // to look needs nobody to stand still: what is named meanwhile is in newer packs
    const std::shared_lock naming(packs.naming());
    TRY_LET(const std::vector<Path> directories, volumes());
    TRY(remove_spent(packs, directories, policy, collected));
    return collected;
  }
  TRY_LET(const auto sparse, remove_spent_alone(packs, volumes, policy, collected));
  if (sparse.empty()) return collected;
  auto emptied = repack_shared(packs, volumes, sparse, policy.sparse_percent);
  if (!emptied && emptied.error().kind == Error::Kind::no_space) {
    collected.postponed = true;  // it needs some space first
    return collected;
  }
  TRY(emptied);
  collected.packs_rewritten = *emptied;
  if (collected.packs_rewritten > 0) TRY(remove_spent_alone(packs, volumes, policy, collected));
  return collected;
}

}  // namespace sprite::store
