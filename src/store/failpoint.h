#pragma once
/// Failpoints: named places between the steps of a change, at which a test ends the process to see that a crash right
/// there loses nothing. One that nobody waits for costs a load and a branch.
#include <atomic>
#include <string_view>

#include "base/result.h"

namespace sprite::store {

enum class Failpoint {
  cut_prepared,       ///< The new top's files are there, no row names them.
  cut_flushed,        ///< The old top is durable.
  cut_committed,      ///< volume.db says so, memory does not yet.
  checkpoint_row,     ///< In the transaction that makes a checkpoint.
  restore_row,        ///< In the one of a restore.
  restore_switched,   ///< Reads go through the checkpoint.
  fork_linked,        ///< A fork has its layers' files.
  fork_made,          ///< And its volume.db.
  pack_written,       ///< A pack is durable, without a name.
  pack_named,         ///< Its name is not durable.
  seal_packed,        ///< A layer is in packs, which nobody names.
  seal_mapped,        ///< In the transaction that names them.
  seal_committed,     ///< Reads still go through the layer's files.
  fold_copied,        ///< A layer has the blocks of the one below.
  fold_committed,     ///< The files of that are still there.
  drop_committed,     ///< The files of a layer that is dropped are still there.
  delete_committed,   ///< And those that only a removed checkpoint needed.
  hidden_forgotten,   ///< A layer has forgotten blocks, newer ones have not, and storage is still there.
  collect_removing,   ///< Before each pack that is removed.
  collect_moved,      ///< What is needed of sparse packs is in new ones, which nobody names.
  collect_exchanged,  ///< A volume names them; others may not.
  count
};

std::string_view to_string(Failpoint point);

/// Called at each failpoint that is reached, on any thread; null for nothing.
using OnFailpoint = void (*)(Failpoint);
void on_failpoint(OnFailpoint reached);
/// This process ends as by `kill -9` when it reaches the failpoint of that name. Errors: invalid (there is none).
Result<> die_at_failpoint(std::string_view name);

namespace detail {
extern std::atomic<OnFailpoint> failpoint_reached;
}

inline void failpoint(Failpoint point) {
  if (const OnFailpoint reached = detail::failpoint_reached.load(std::memory_order_relaxed)) [[unlikely]]
    reached(point);
}

}  // namespace sprite::store
