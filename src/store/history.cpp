#include "store/history.h"

#include <algorithm>
#include <map>

#include "store/catalogue.h"

namespace sprite::store {

Result<History> read_history(const Path& directory) {
  TRY_LET(Catalogue catalogue, Catalogue::open(directory));
  TRY_LET(meta::Transaction instant, catalogue.begin());  // one instant of several tables; undone, nothing was changed
  TRY_LET(const auto layers, catalogue.layers());
  TRY_LET(const auto checkpoints, catalogue.checkpoints());
  TRY_LET(const std::int64_t top, catalogue.top());
  std::map<std::int64_t, std::int64_t> parents, numbers;  // by layer
  for (const LayerRow& layer : layers)
    if (layer.parent && *layer.parent < layer.number) parents[layer.number] = *layer.parent;
  for (const Checkpoint& checkpoint : checkpoints) numbers[checkpoint.layer] = checkpoint.number;
  const auto source_of = [&](std::int64_t layer) -> std::optional<std::int64_t> {
    for (auto parent = parents.find(layer); parent != parents.end(); parent = parents.find(parent->second))
      if (const auto found = numbers.find(parent->second); found != numbers.end()) return found->second;
    return std::nullopt;
  };
  History history;
  for (const Checkpoint& checkpoint : checkpoints) history.entries.push_back({checkpoint, source_of(checkpoint.layer)});
  std::ranges::sort(history.entries, {}, [](const HistoryEntry& entry) { return entry.checkpoint.layer; });
  history.current = source_of(top);
  return history;
}

}  // namespace sprite::store
