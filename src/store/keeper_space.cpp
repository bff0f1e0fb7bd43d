// Keeper: giving back space. Layers are folded, dropped where packs have them, and forget what newer ones hide.
#include "base/failpoint.h"
#include "store/keeper.h"

namespace sprite::store {

Result<bool> Keeper::fold(std::size_t layers_max) {
  std::lock_guard background(background_);
  TRY_LET(const std::optional<Pair> pair, locked([&] { return pair_to_fold(layers_max); }));
  if (!pair) return false;
  TRY(pair->upper->absorb(*pair->lower, catalogue_.files(pair->upper_row.number, pair->upper_row.id)));
  failpoint(Failpoint::fold_copied);
  std::lock_guard one(changing_);
  TRY_LET(const auto rows, catalogue_.layers());
  const LayerRow& lower = pair->lower_row;
  const auto upper = std::ranges::find(rows, pair->upper_row.number, &LayerRow::number);
  if (upper == rows.end() || upper->local_below != lower.number) return true;  // removed meanwhile
  TRY_LET(meta::Transaction transaction, begin());
  TRY(catalogue_.set_local_below(upper->number, lower.local_below));
  if (is_unsealed(lower)) {
    TRY(catalogue_.splice_out(lower));
  } else {
    TRY(catalogue_.set_not_local(lower.number));
    TRY(catalogue_.tidy());
  }
  TRY(commit(std::move(transaction)));
  failpoint(Failpoint::fold_committed);
  TRY(refresh());
  end_views();
  remove_files(lower);
  return true;
}

/// The neighbours that cost least to fold: both sealed, or both not and nobody else needs the lower one as it is.
Result<std::optional<Keeper::Pair>> Keeper::pair_to_fold(std::size_t layers_max) {
  std::optional<Pair> best;
  const auto open = disk_->with_layers([](const Layers& layers) { return layers.lower; });
  if (open.size() + 1 <= layers_max) return best;
  TRY_LET(const auto rows, catalogue_.layers());
  for (std::size_t i = 0; i + 1 < open.size(); ++i) {
    const auto upper = std::ranges::find(rows, open[i]->number(), &LayerRow::number);
    const auto lower = std::ranges::find(rows, open[i + 1]->number(), &LayerRow::number);
    if (upper == rows.end() || lower == rows.end() || is_unsealed(*upper) != is_unsealed(*lower)) continue;
    TRY_LET(const bool shared, catalogue_.is_shared(lower->number));
    if ((shared && is_unsealed(*lower)) || open[i]->is_linked()) continue;
    if (best && storage_bytes(best->lower->file()) <= storage_bytes(open[i + 1]->file())) continue;
    best = Pair{*upper, *lower, open[i], open[i + 1]};
  }
  return best;
}

Result<bool> Keeper::drop_local() {
  std::lock_guard background(background_);
  std::lock_guard one(changing_);
  const auto open = disk_->with_layers([](const Layers& layers) { return layers.lower; });
  if (open.empty()) return false;
  TRY_LET(const auto rows, catalogue_.layers());
  const auto row = std::ranges::find(rows, open.back()->number(), &LayerRow::number);
  if (row == rows.end() || !row->root) return false;
  TRY_LET(meta::Transaction transaction, begin());
  TRY(catalogue_.set_not_local(row->number));
  TRY(catalogue_.tidy());
  TRY(commit(std::move(transaction)));
  failpoint(Failpoint::drop_committed);
  TRY(refresh());
  end_views();
  remove_files(*row);
  return true;
}

Result<std::vector<HidingLayer>> Keeper::hiding_layers() {
  TRY_LET(const auto rows, catalogue_.layers());
  std::vector<HidingLayer> layers;
  for (const LayerPointer& layer : disk_->with_layers([](const Layers& open) { return open.lower; })) {
    const auto row = std::ranges::find(rows, layer->number(), &LayerRow::number);
    layers.push_back({layer, row != rows.end() && row->root && !layer->is_linked()});
  }
  return layers;
}

Result<std::uint64_t> Keeper::give_back_hidden(std::uint64_t bytes_max) {
  constexpr std::size_t words_at_once = GiB / block_bytes / BlockStates::blocks_per_word;
  std::lock_guard background(background_);
  TRY_LET(const auto layers, locked([&] { return hiding_layers(); }));
  const std::uint64_t hidden = hidden_bytes(layers);
  if (hidden <= bytes_max) return std::uint64_t{0};
  const std::size_t words = layers.front().layer->states().words().size();
  for (std::size_t first = 0; first < words && !ending_; first += words_at_once)
    TRY(locked([&] { return give_back_hidden_in(first, std::min(words_at_once, words - first)); }));
  return hidden;
}

/// The layers forget the blocks, the oldest first: what a layer lacks is looked for in older ones, which must not have
/// it then, nor after a crash. When nobody reads by what they said before, their storage goes. A crash in between
/// leaves storage that goes with the layer's files.
Result<> Keeper::give_back_hidden_in(std::size_t first_word, std::size_t words) {
  TRY_LET(const auto layers, hiding_layers());
  const auto hidden = hidden_blocks(layers, first_word, words);
  if (std::ranges::all_of(hidden, [](const auto& blocks) { return blocks.empty(); })) return {};
  TRY_LET(const auto rows, catalogue_.layers());
  const auto each = [&](auto action) -> Result<> {
    for (std::size_t i = layers.size(); i-- > 0;) {
      if (hidden[i].empty()) continue;
      const auto row = std::ranges::find(rows, layers[i].layer->number(), &LayerRow::number);
      TRY(action(*layers[i].layer, hidden[i], catalogue_.files(row->number, row->id)));
    }
    return {};
  };
  const auto forget = [&](Layer& layer, const auto& blocks, const LayerFiles& files) -> Result<> {
    auto forgotten = layer.forget(first_word, blocks, files);
    failpoint(Failpoint::hidden_forgotten);
    return forgotten;
  };
  TRY(each(forget));
  TRY(disk_->exchange([](Layers&) { return Result<>(); }));
  end_views();
  return each([&](Layer& layer, const auto& blocks, const LayerFiles& files) {
    return layer.give_back(first_word, blocks, files);
  });
}

}  // namespace sprite::store
