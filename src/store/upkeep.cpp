#include "store/upkeep.h"

#include <algorithm>

#include "store/background.h"

namespace sprite::store {
namespace {

using namespace std::chrono_literals;

constexpr auto look_again = 10s, retry_first = 5s, retry_last = 300s;

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
  yield_to_others();
  std::chrono::seconds pause = retry_first;
  std::unique_lock hold(mutex_);
  while (!ending_) {
    nudged_ = false;
    hold.unlock();
    auto done = caught([&] { return work(); });
    hold.lock();
    failure_ = done ? std::nullopt : std::optional(std::move(done).error());
    pause = failure_ ? std::min<std::chrono::seconds>(pause * 2, retry_last) : retry_first;
    // Waiting out a failure is not cut short by nudges.
    wake_.wait_for(hold, failure_ ? pause : look_again, [&] { return ending_ || (nudged_ && !failure_); });
  }
}

/// Cuts a large top layer, or one that hides much, so that it can be sealed; one that is written to without a pause not
/// before it is very large.
Result<> Upkeep::cut() {
  constexpr std::uint64_t very_large = 16;
  const auto [used, hidden] = keeper_.disk().with_layers(
      [](const Layers& layers) { return std::pair(layers.top->used_bytes(), layers.top->hidden_bytes()); });
  if (used > very_large * policy_.cut_bytes) return keeper_.cut();
  if (used > policy_.cut_bytes || hidden > policy_.hidden_bytes_max) TRY(keeper_.cut_between_writes());
  return {};
}

/// Everything there is to do now.
Result<> Upkeep::work() {
  TRY(cut());
  TRY(keeper_.prepare());
  for (bool more = true; more && !ending();) {
    // Folding first: what a newer layer overwrote need not be sealed.
    TRY_LET(const bool folded, keeper_.fold(policy_.layers_max));
    TRY_LET(const bool sealed, keeper_.seal());
    more = folded || sealed;
    hidden_due_ |= more;
  }
  if (hidden_due_ && !ending()) {
    TRY(keeper_.give_back_hidden(policy_.hidden_bytes_max));
    hidden_due_ = false;
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
