// Keeper: checkpoints that are open for reading.
#include <thread>

#include "store/keeper.h"

namespace sprite::store {

Result<std::shared_ptr<const Keeper::View>> Keeper::view(std::int64_t number, Wait wait) {
  using Pointer = std::shared_ptr<const View>;
  constexpr std::size_t open_max = 16;
  const auto find = [&](const Views& views) {
    const auto found = views.open.find(number);
    return found == views.open.end() ? Pointer() : found->second;
  };
  if (Pointer open = views_.with(find); open || wait == Wait::no) return open;
  std::lock_guard one(changing_);
  TRY_LET(const Checkpoint checkpoint, catalogue_.checkpoint(number));
  TRY_LET(const auto chain, catalogue_.chain(checkpoint.layer));
  TRY_LET(Layers layers, layers_for(chain));
  Chain reads = chain_of(layers);
  Pointer opened = std::make_shared<const View>(View{std::move(layers), std::move(reads)});
  if (views_.with([](const Views& views) { return views.open.size() >= open_max; })) forget_views();
  views_.with([&](Views& views) { views.open[number] = opened; });
  return opened;
}

/// Nobody begins to read through one of these.
void Keeper::forget_views() {
  views_.with([](Views& views) {
    std::erase_if(views.forgotten, [](const auto& view) { return view.expired(); });
    for (const auto& [number, view] : views.open) views.forgotten.push_back(view);
    views.open.clear();
  });
}

/// The same, and returns when nobody reads through one any more. What follows may take away what they read: a file
/// whose last name of ours goes may be another volume's, which then changes it as its own.
void Keeper::end_views() {
  forget_views();
  const auto ending = views_.with([](Views& views) { return std::exchange(views.forgotten, {}); });
  for (const auto& view : ending)
    while (!view.expired()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace sprite::store
