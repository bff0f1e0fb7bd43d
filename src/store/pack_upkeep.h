#pragma once
/// PackUpkeep: the thread that collects packs (collector.h) when much of them may not be needed any more and nobody is
/// busy with them, so that what was deleted gives its space back without being asked.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "store/collector.h"

namespace sprite::store {

struct PackUpkeepPolicy {
  std::uint64_t spent_bytes_max = 128 * MiB;  ///< about so much may lie there unneeded
  std::chrono::milliseconds look_every{8000};
  unsigned busy_looks_max = 60;  ///< it waits while packs are stored or given up, but not for longer
  unsigned failed_looks = 60;    ///< between a collection that failed, or found no space, and the next
};

class PackUpkeep {
 public:
  using Report = std::function<void(const Result<Collected>&)>;
  /// `volumes`, and `report` after each collection, are called on the thread. What an earlier process left is looked
  /// for first.
  PackUpkeep(PackStore& packs, Volumes volumes, Report report, const PackUpkeepPolicy& policy = {});
  /// Waits for a collection that is under way.
  ~PackUpkeep();
  PackUpkeep(const PackUpkeep&) = delete;

 private:
  void run();
  bool is_time();
  void collect();

  PackStore& packs_;
  const Volumes volumes_;
  const Report report_;
  const PackUpkeepPolicy policy_;
  std::uint64_t puts_seen_ = 0, spent_seen_ = 0;
  unsigned looks_to_wait_ = 0, busy_looks_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace sprite::store
