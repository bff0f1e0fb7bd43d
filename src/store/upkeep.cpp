#include "store/upkeep.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace sprite::store {
namespace {

using namespace std::chrono_literals;

constexpr auto look_again = 10s, retry_first = 5s, retry_last = 300s;
constexpr int niceness = 10;

}  // namespace

Upkeep::~Upkeep() {
  {
    std::lock_guard hold(mutex_);
    ending_ = true;
  }
  keeper_.end_seals();
  wake_.notify_all();
  thread_.join();
}

void Upkeep::nudge() {
  std::lock_guard hold(mutex_);
  nudged_ = true;
  wake_.notify_all();
}

std::optional<Error> Upkeep::failure() {
  std::lock_guard hold(mutex_);
  return failure_;
}

bool Upkeep::ending() {
  std::lock_guard hold(mutex_);
  return ending_;
}

void Upkeep::run() {
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness);  // of this thread alone
  std::chrono::seconds pause = retry_first;
  std::unique_lock hold(mutex_);
  while (!ending_) {
    nudged_ = false;
    hold.unlock();
    auto done = work();
    hold.lock();
    failure_ = done ? std::nullopt : std::optional(std::move(done).error());
    pause = failure_ ? std::min<std::chrono::seconds>(pause * 2, retry_last) : retry_first;
    // Waiting out a failure is not cut short by nudges.
    wake_.wait_for(hold, failure_ ? pause : look_again, [&] { return ending_ || (nudged_ && !failure_); });
  }
}

/// Everything there is to do now.
Result<> Upkeep::work() {
  if (keeper_.disk().with_layers([](const Layers& layers) { return layers.top->used_bytes(); }) > policy_.cut_bytes)
    TRY(keeper_.cut());
  TRY(keeper_.prepare());
  for (bool more = true; more && !ending();) {
    // Folding first: what a newer layer overwrote need not be sealed.
    TRY_LET(const bool folded, keeper_.fold(policy_.layers_max));
    TRY_LET(const bool sealed, keeper_.seal());
    more = folded || sealed;
  }
  return give_back();
}

/// Drops local copies of what is in packs, the oldest first, as far as they are beyond the budget.
Result<> Upkeep::give_back() {
  while (!ending()) {
    TRY_LET(const Usage usage, keeper_.usage());
    if (usage.local_bytes <= policy_.local_bytes_max + usage.unsealed_bytes) return {};
    TRY_LET(const bool dropped, keeper_.drop_local());
    if (!dropped) return {};
  }
  return {};
}

}  // namespace sprite::store
