#pragma once
/// Failpoints: named places between the steps of a change, at which a test ends the process, or has it stand still, to
/// see that a crash right there loses nothing. One that nobody waits for costs a load and a branch.
#include <atomic>
#include <string_view>

#include "base/result.h"

namespace sprite {

enum class Failpoint {
  // A change of a disk.
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
  // A sprite's life.
  create_taken,     ///< A VM is there that is to be the sprite's; the sprite has no folder.
  create_named,     ///< The sprite has its folder, which names the VM.
  begin_bound,      ///< The VM has its disk.
  begin_loaded,     ///< It runs as the template did.
  begin_exchanged,  ///< Its disk is not the template's any more.
  begin_told,       ///< Its agent has acknowledged who it is.
  begin_shown,      ///< It is hidden no more.
  sleep_held,       ///< Programs stand still.
  sleep_stopped,    ///< Processors do.
  sleep_cut,        ///< The disk's instant has a name.
  sleep_saved,      ///< The state is saved.
  sleep_copied,     ///< The RAM is, durably.
  sleep_published,  ///< They count.
  vm_ended,         ///< The VM is gone, what we keep of it is not.
  wake_filled,      ///< QEMU waits, its RAM is the saved one.
  wake_loaded,      ///< It has the state.
  wake_used_up,     ///< The saved memory counts no more.
  wake_running,     ///< Processors run.
  wake_greeted,     ///< The clock is right, programs run.
  // Memory for a checkpoint or a fork, and back.
  memory_saved,      ///< The state is saved.
  memory_copied,     ///< The RAM is; programs still stand still.
  memory_cut,        ///< The disk has the checkpoint, or is forked.
  memory_finished,   ///< Durable, and without a name.
  memory_published,  ///< The checkpoint has its memory.
  restore_disk,      ///< The disk is restored, and has no memory.
  restore_linked,    ///< The memory has its second name, which does not count.
  restore_asleep,    ///< It counts.
  count
};
/// So many are those of a disk.
constexpr auto disk_failpoints = static_cast<std::size_t>(Failpoint::create_taken);

std::string_view to_string(Failpoint point);

/// Called at each failpoint that is reached, on any thread; null for nothing.
using OnFailpoint = void (*)(Failpoint);
void on_failpoint(OnFailpoint reached);
/// "NAME": this process ends as by `kill -9` when it reaches the failpoint of that name. "NAME:stop": it stands still
/// there, once, until somebody sends SIGCONT. Errors: invalid (there is none).
Result<> arm_failpoint(std::string_view how);

namespace detail {
extern std::atomic<OnFailpoint> failpoint_reached;
}

inline void failpoint(Failpoint point) {
  if (const OnFailpoint reached = detail::failpoint_reached.load(std::memory_order_relaxed)) [[unlikely]]
    reached(point);
}

}  // namespace sprite
