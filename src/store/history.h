#pragma once
/// History: a volume's checkpoints and how one led to another. Reads volume.db only; the volume may be open elsewhere.
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "store/checkpoint.h"

namespace sprite::store {

struct HistoryEntry {
  Checkpoint checkpoint{};
  std::optional<std::int64_t> source{};  ///< number of the checkpoint that it came after
};

struct History {
  std::vector<HistoryEntry> entries{};    ///< the oldest first
  std::optional<std::int64_t> current{};  ///< number of the checkpoint that the present disk came after
};

/// Errors: not_found, corrupt, unavailable.
Result<History> read_history(const Path& directory);

}  // namespace sprite::store
