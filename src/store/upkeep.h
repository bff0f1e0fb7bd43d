#pragma once
/// Upkeep: the thread behind an open volume that seals, folds and drops layers, so that nobody waits for it.
///
/// It sleeps until it is nudged (after each change of layers) or, while the guest writes, until the top layer is large
/// enough to be cut. What fails is tried again later, at growing distances; a failure harms nothing but the chain stays
/// longer.
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "store/keeper.h"

namespace sprite::store {

class Upkeep {
 public:
  Upkeep(Keeper& keeper, const UpkeepPolicy& policy) : keeper_(keeper), policy_(policy), thread_([this] { run(); }) {}
  ~Upkeep();
  Upkeep(const Upkeep&) = delete;

  /// There may be something to do.
  void nudge();
  /// What failed last, until it succeeds.
  std::optional<Error> failure();

 private:
  void run();
  Result<> work();
  Result<> cut();
  bool ending();
  Result<> give_back();

  Keeper& keeper_;
  const UpkeepPolicy policy_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool nudged_ = true, ending_ = false;
  bool hidden_due_ = true;  ///< on its thread: layers changed, or an earlier process may not have come to it
  std::optional<Error> failure_;
  std::thread thread_;
};

}  // namespace sprite::store
