#include "store/pack_upkeep.h"

#include "store/background.h"

namespace sprite::store {

PackUpkeep::PackUpkeep(PackStore& packs, Volumes volumes, Report report, const PackUpkeepPolicy& policy)
    : packs_(packs), volumes_(std::move(volumes)), report_(std::move(report)), policy_(policy) {
  packs_.note_spent();
  thread_ = std::thread([this] { run(); });
}

PackUpkeep::~PackUpkeep() {
  {
    std::lock_guard hold(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void PackUpkeep::run() {
  yield_to_others();
  std::unique_lock hold(mutex_);
  while (!wake_.wait_for(hold, policy_.look_every, [&] { return ending_; })) {
    if (!is_time()) continue;
    hold.unlock();
    collect();
    hold.lock();
  }
}

/// Much is spent, and nothing changed since the last look.
bool PackUpkeep::is_time() {
  const std::uint64_t puts = packs_.puts(), spent = packs_.spent_bytes();
  const bool quiet = puts_seen_ == puts && spent_seen_ == spent;
  puts_seen_ = puts;
  spent_seen_ = spent;
  if (looks_to_wait_ > 0) {
    --looks_to_wait_;
    return false;
  }
  if (spent <= policy_.spent_bytes_max) return false;
  if (!quiet && ++busy_looks_ < policy_.busy_looks_max) return false;
  busy_looks_ = 0;
  return true;
}

void PackUpkeep::collect() {
  const std::uint64_t spent = packs_.spent_bytes();
  const auto collected = caught([&] { return collect_packs(packs_, volumes_); });
  report_(collected);
  if (!collected || collected->postponed) {
    looks_to_wait_ = policy_.failed_looks;
    return;
  }
  // One run moves so much at most: the next may find more.
  if (collected->packs_rewritten == 0) packs_.forget_spent(spent);
}

}  // namespace sprite::store
