#pragma once
/// The running side of one sprite: its disk server, its VM and the channel to the agent in it.
///
/// States: off (nothing), or on (disk served, VM there, channel acknowledged). power_on() goes from off to on, or back
/// to off when a step fails; shut_down(), cut_power() and let_go() go to off. The disk is served for as long as a QEMU
/// may use it: from before its start until it is known to be gone. The caller (fleet.cpp) lets one of these run at a
/// time.
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/stream.h"
#include "channel/link.h"
#include "sprite/blanks.h"
#include "sprite/disk_server.h"
#include "sprite/host.h"
#include "sprite/on_pool.h"
#include "sprite/record.h"
#include "store/volume.h"
#include "vm/console_log.h"
#include "vm/memory_image.h"

namespace sprite {

/// The checkpoint of what a disk was before it was restored, a remark for people, which is mostly empty, and whether
/// programs are as they were, too.
struct Restored {
  store::Checkpoint before{};
  std::string note{};
  bool programs_too = false;
};

/// What a check of the filesystem said, and the checkpoint of what the disk was before.
struct Checked {
  store::Checkpoint before{};
  wire::DiskCheck check{};
};

/// A sleep on its way to the disk.
struct Saving {
  Saving(vm::MemoryImageWriter its_writer, Path ram) : writer(std::move(its_writer)), memory_file(std::move(ram)) {}
  vm::MemoryImageWriter writer;
  Path memory_file;
  vm::MemoryStamp stamp{};
  std::atomic<bool> cancelled = false;
};

/// How a wake from saved memory ended.
struct Woken {
  enum class From { memory, refused };
  From from = From::refused;
  std::string why{};  ///< The memory was refused.
};

/// What a sprite's disk is to the memory that it goes on from: the very disk that this knows, or any other, which has
/// to be exchanged for that.
enum class DiskOf { memory, sprite };

/// Whether a machine stands still all the same when its agent cannot hold its programs.
enum class IfSilent { go_ahead, refuse };

/// Whether a machine goes on with another's memory, whose network connections to the outside are not its own.
enum class Memory { own, anothers };

/// Where a VM's memory is copied to: the new file `state`, and the memory file `ram`, which is there without data.
struct MemoryCopy {
  Path state{}, ram{};
};

class Machine {
 public:
  Machine(Host& host, const Record& record);
  ~Machine();

  /// What the hypervisor calls it.
  std::string vm_id() const { return record_.vm_id.value_or(Host::machine_id(record_.id)); }
  bool on() const { return disk_ != nullptr; }
  /// The guest's writes wait, since the host's disk is full.
  bool waits_for_space() const { return disk_ && disk_->waits_for_space(); }
  /// The agent can be talked to; false while on() after a daemon's restart, or when the guest broke the channel.
  bool reachable() const { return link_ != nullptr && !channel_down_; }

  /// Cold boot until programs may run in it. Errors: no_space, unavailable, corrupt (with the console's last lines).
  asio::awaitable<Result<>> power_on();
  /// Goes on from a template instead of booting; `blank` is the VM that the record names. Ready when the agent has
  /// acknowledged its identity; else it is off again. Errors: corrupt (the template), unavailable, no_space.
  asio::awaitable<Result<>> power_on_from(Blank blank, DiskOf disk);
  /// Goes on in `blank`, whose RAM is another's, as another sprite: with what copy_memory_to() made, `state`, which is
  /// used up. Programs go on once the agent has acknowledged its identity; else it is off again. Errors: as
  /// power_on_from().
  asio::awaitable<Result<>> power_on_as_clone(Blank blank, Path state);
  /// Serves the disk of a VM that an earlier daemon left running; at once, since its guest waits. Errors: as opening a
  /// volume.
  Result<> serve_disk();
  /// Connects to the agent of a VM that is there already. Errors: unavailable (the VM is left alone).
  asio::awaitable<Result<>> adopt();
  /// Whether the VM ended by itself, or does so within a moment.
  asio::awaitable<bool> has_ended();
  /// Ends programs, unmounts, powers off; pulls the plug after 10 s without an answer. Errors: unavailable.
  asio::awaitable<Result<>> shut_down();
  /// Pulls the plug. Errors: unavailable.
  asio::awaitable<Result<>> cut_power();
  /// Lets go of everything, the VM being gone.
  asio::awaitable<void> let_go();
  /// Makes the disk durable and stops serving it; the VM waits for the next daemon. Blocks.
  Result<> release();

  /// The result of `work` with the volume, on the pool; a machine that is off opens it for so long. Errors: as
  /// Host::open_volume(), and those of `work`.
  template <class T>
  asio::awaitable<Result<T>> with_volume(std::function<Result<T>(store::Volume&)> work);
  /// As with_volume(), at an instant at which the guest's filesystem is complete. Where the guest does not answer the
  /// instant is any, and `note` says so.
  template <class T>
  asio::awaitable<Result<T>> at_rest(std::function<Result<T>(store::Volume&)> work, std::string& note);
  /// Puts the disk back to what a checkpoint holds. The VM goes on, with the inner container started anew, or is
  /// restarted where the guest does not answer; after an error the machine may be off. Errors: not_found, no_space,
  /// corrupt, unavailable.
  asio::awaitable<Result<Restored>> restore(std::int64_t checkpoint);

  /// The same with the saved memory of the checkpoint, which must be there: the machine is off then and asleep,
  /// its programs as they were at the checkpoint. Where the memory cannot be put in place there is none, and the note
  /// says so.
  asio::awaitable<Result<Restored>> restore_asleep(store::Checkpoint checkpoint);

  /// Has the guest's agent check the filesystem and mend it, after a safety checkpoint. Programs end; a machine that
  /// was off is off again, one that was on goes on (restarted where its guest did not answer). After an error it may be
  /// off. Errors: no_space, corrupt, unavailable.
  asio::awaitable<Result<Checked>> check_filesystem();
  /// The guest shows these checkpoints from now on; one that does not hear it learns it when it is next configured.
  void show_checkpoints(std::vector<wire::ShownCheckpoint> checkpoints);

  /// Programs and processors stand still, RAM stays; nothing of the disk is under way. Errors: unavailable (they do
  /// not).
  asio::awaitable<Result<>> pause(IfSilent if_silent = IfSilent::go_ahead);
  /// Processors stand still at once, whatever programs are at; stands_still() until it is resumed. Errors: unavailable.
  asio::awaitable<Result<>> stand_still();
  /// Also of an earlier daemon. Blocks for a moment.
  bool stands_still() const;
  /// Leaves a mark that pause() is for a copy only, until resume() or adopt(): so that the next daemon lets it go on.
  /// Errors: as system_error.
  Result<> mark_copying();
  void unmark_copying();
  bool is_being_copied() const;
  /// A paused VM goes on, whoever paused it: its clock is set, then programs go on. Errors: unavailable.
  asio::awaitable<Result<>> resume();
  /// The guest's clock is set to the host's, and programs that were held go on. Errors: unavailable.
  asio::awaitable<Result<>> greet();
  /// Writes what a paused VM consists of beside its RAM; the copy of that is to follow. Errors: no_space, unavailable.
  asio::awaitable<Result<std::shared_ptr<Saving>>> begin_saving();
  /// Copies a paused VM's RAM; what it made counts once it is published. Takes no turn: it may be cancelled. Errors:
  /// no_space, unavailable, busy (cancelled).
  asio::awaitable<Result<>> copy_memory(std::shared_ptr<Saving> saving);
  /// The copy counts from now on, and the VM is ended. Errors: no_space, unavailable (it is still there then).
  asio::awaitable<Result<>> finish_saving(std::shared_ptr<Saving> saving);
  /// Goes on from the saved memory, which is used up by it. It must be there. A text in the result: it cannot be used,
  /// for that reason, and is gone. `blank`, if there is one, is the VM that the record names; it is used up. Errors:
  /// no_space, unavailable (the saved memory stays, or is in a VM that is there and does not go on or answer yet).
  asio::awaitable<Result<Woken>> wake(std::optional<Blank> blank);
  /// Copies the memory of a paused VM; `work` is done with the disk meanwhile, which is as of the same instant. Errors:
  /// no_space, unavailable, and those of `work`.
  asio::awaitable<Result<>> copy_memory_to(MemoryCopy to, std::function<Result<>(store::Volume&)> work);
  /// The same of the saved memory in `directory`, which is there again and again. `disk` tells which instant of the
  /// disk goes with it. Errors: no_space, corrupt (it cannot be used, for that reason).
  asio::awaitable<Result<>> copy_saved_to(MemoryCopy to, Path directory, std::string disk);
  /// Of a VM that stands still: its memory becomes part of the checkpoint that `work` makes of the disk at that
  /// instant. It is there for good once finish_checkpoint() has returned; until then the machine may go on. Errors:
  /// no_space, unavailable, and those of `work`.
  asio::awaitable<Result<std::shared_ptr<Saving>>> begin_checkpoint(
      std::function<Result<store::Checkpoint>(store::Volume&)> work);
  asio::awaitable<Result<>> finish_checkpoint(std::shared_ptr<Saving> saving, store::Checkpoint of);
  /// Whether a machine like this can go on from the memory of the checkpoint, all of which is read. Errors: corrupt
  /// (why not), unavailable (nobody knows).
  asio::awaitable<Result<>> check_checkpoint_memory(store::Checkpoint checkpoint);
  /// Where a checkpoint's memory is. Any number of machines may go on from it.
  Path checkpoint_memory(const std::string& id) const { return checkpoint_memories() / id; }
  /// Where the saved memory is of one that is asleep.
  Path memory_directory() const { return host_.sprite_dir(record_.id) / "memory"; }
  /// Whether there is a saved memory, or that of a checkpoint. Blocks for a moment.
  bool has_memory() const;
  bool has_memory(const std::string& checkpoint) const;
  /// Of the host's disk, for all saved memory. Blocks.
  std::uint64_t saved_memory_bytes() const;
  /// Removes what there is of saved memory, and of attempts at it. Blocks.
  Result<> forget_memory();
  Result<> forget_memory(const std::string& checkpoint);
  Result<> forget_memory_remnants();
  /// Whether the VM runs, is paused, or waits for a state. Errors: unavailable.
  asio::awaitable<Result<vm::State>> vm_state();

  /// Whether the image that it boots is there. Blocks for a moment. Errors: corrupt.
  Result<> startable() const;
  /// A stream to the agent's HTTP server. Errors: unavailable (off, or the channel is down).
  Result<Stream> open_stream();
  /// What the serial console of this and earlier boots said last.
  std::string console_log(std::uint64_t limit_bytes = vm::console_limit_bytes) const;
  /// Whether there is a guest behind the channel, which takes some 2 ms to learn. Errors: unavailable (no answer in 20
  /// s).
  asio::awaitable<Result<>> answers();
  /// What the agent says of itself. Errors: unavailable.
  asio::awaitable<Result<wire::AgentStatus>> agent_status();
  /// When it was last in use from inside. Errors: unavailable.
  asio::awaitable<Result<wire::Activity>> activity();

 private:
  asio::awaitable<Result<>> freeze();
  asio::awaitable<void> thaw();
  asio::awaitable<Result<>> take_disk_from_guest();
  asio::awaitable<Result<>> give_disk_to_guest();
  asio::awaitable<Result<>> boot_without_disk();
  asio::awaitable<Result<>> off_unless(Result<> up);
  asio::awaitable<Result<Checked>> check_released_disk();
  asio::awaitable<Result<store::Checkpoint>> keep_present(std::string comment);
  asio::awaitable<Result<store::Checkpoint>> restore_volume(std::int64_t checkpoint);
  asio::awaitable<Result<>> start_vm();
  Path checkpoint_memories() const { return host_.sprite_dir(record_.id) / "checkpoints"; }
  /// A VM that went on from memory that may be gone on from again has it until it has other random numbers, and no
  /// connections to the outside, whichever daemon sees to that: before its programs go on.
  Path renewal_mark() const { return host_.vm_dir(vm_id()) / "goes-on-again"; }
  bool is_to_be_renewed() const;
  Path copying_mark() const { return host_.vm_dir(vm_id()) / "being-copied"; }
  Path standing_mark() const { return host_.vm_dir(vm_id()) / "stands-still"; }
  /// As far as it is known without the hypervisor and the disk.
  Result<vm::MemoryStamp> stamp() const;
  asio::awaitable<Result<>> answers_within(std::chrono::milliseconds limit);
  asio::awaitable<Result<>> hold();
  asio::awaitable<Result<>> blank_lives();
  asio::awaitable<Result<Woken>> go_on_with_loaded(bool is_kept);
  asio::awaitable<Result<>> let_run();
  asio::awaitable<Result<>> connect_agent(std::chrono::milliseconds limit);
  asio::awaitable<Result<>> go_on_from(Blank blank, DiskOf disk, Path state);
  asio::awaitable<Result<>> exchange_scratch();
  asio::awaitable<Result<>> configure_agent(std::chrono::milliseconds limit, Memory of = Memory::own);
  asio::awaitable<Result<>> wait_until_absent(std::chrono::milliseconds limit);
  Result<vm::MachineSpec> machine_spec() const;
  std::uint64_t console_bytes() const;
  Error with_console(Error error) const;

  Host& host_;
  const Record& record_;
  std::shared_ptr<store::Volume> volume_;
  std::shared_ptr<ScratchDisk> scratch_;
  std::shared_ptr<DiskServer> disk_;
  std::unique_ptr<channel::Link> link_;
  bool channel_down_ = false;
  std::uint64_t console_begin_ = 0;  ///< How much the serial console had said before this start.
};

template <class T>
asio::awaitable<Result<T>> Machine::with_volume(std::function<Result<T>(store::Volume&)> work) {
  auto run = [&host = host_, id = record_.id, volume = volume_, work = std::move(work)]() -> Result<T> {
    if (volume) return work(*volume);
    TRY_LET(const auto opened, host.open_volume(id));
    auto done = work(*opened);
    TRY(opened->close());
    TRY(remove_tree(host.volume_dir(id)));
    return done;
  };
  co_return co_await on_pool(host_.pool(), run);
}

template <class T>
asio::awaitable<Result<T>> Machine::at_rest(std::function<Result<T>(store::Volume&)> work, std::string& note) {
  Result<> frozen;
  if (on()) frozen = co_await freeze();
  if (!frozen) note = "the guest did not answer, so this is its disk as after a loss of power: " + frozen.error().what;
  auto done = co_await with_volume<T>(std::move(work));
  if (on()) co_await thaw();
  co_return done;
}

}  // namespace sprite
