#pragma once
/// Blanks: VMs whose QEMU waits, its RAM already that of a template, to become any sprite.
///
/// A QEMU takes most of a start's time to come up; a few are kept ready, so that nobody waits for it. Those for starts
/// have rehearsed besides: they have gone on from the template, as nobody, run a first program, and been paused, with
/// the disk cut at that instant; a first program takes long, above all in emulation, where its code is translated only
/// then. Those for wakes have not, since a QEMU loads a state once.
///
/// Nobody is at home, though, when no sprite has been made or started for a while: blanks are made only after one was,
/// of the kind that it needed, and given up some minutes after the last. They are hidden VMs (hidden_vms.h) until a
/// sprite's machine has taken them over, so that those of a killed daemon are ended by the next. Memory that is short
/// goes to sprites: no blank is made then, and those there are go first.
#include <deque>

#include "sprite/disk_server.h"
#include "sprite/scratch_disk.h"

namespace sprite {

struct Blank {
  std::string vm_id{};
  std::shared_ptr<const Template> made_of{};  ///< Null if its RAM is empty, for memory from elsewhere.
  std::shared_ptr<ScratchDisk> scratch{};     ///< Its disk, if it has rehearsed.
  std::shared_ptr<DiskServer> disks{};        ///< Of nobody yet. Ends before the disk that it may serve.
  std::int64_t cut = 0;                       ///< The checkpoint of that which goes with its memory.

  /// Makes the disk of the sprite that it becomes. Errors: as store::Volume::fork().
  Result<> fork_disk(const Path& folder, store::FillDatabase rows) const;
};

enum class BlankFor { start, wake };

class Blanks {
 public:
  explicit Blanks(Host& host) : host_(host) {}

  /// One that waits, or nothing.
  std::optional<Blank> take_waiting(const std::shared_ptr<const Template>& of, BlankFor what);
  /// One for a start that waits, else a new one. Errors: corrupt (the template's RAM), no_space, unavailable.
  asio::awaitable<Result<Blank>> take(std::shared_ptr<const Template> of);
  /// A new one, whatever waits. Errors: as take().
  asio::awaitable<Result<Blank>> make(std::shared_ptr<const Template> of, BlankFor what);
  /// A new one whose RAM is empty, for memory from elsewhere, and one for a wake that waited made so. After an error it
  /// is ended.
  /// Errors: no_space, unavailable.
  asio::awaitable<Result<Blank>> make_empty(TemplateKind kind, std::uint64_t disk_bytes);
  asio::awaitable<Result<Blank>> empty(Blank waiting);
  /// Ends one that was taken and is not needed. Its end is not waited for by anybody else.
  asio::awaitable<void> discard(Blank blank);
  /// Keeps as many ready as the settings say, until they have not been used for some minutes. Errors: as take(), and
  /// corrupt (the template's state).
  asio::awaitable<Result<>> keep_ready(std::shared_ptr<const Template> of, BlankFor what);
  /// Ends those that wait, and those that are being made to wait; whether there were any.
  asio::awaitable<bool> give_up();
  /// The VM ended by itself.
  asio::awaitable<void> ended(std::string vm_id);
  /// Lets go of those that wait, without ending them. Nothing else may be called after it.
  void close();
  /// The disks of those that were being made go. To be called when nothing works on them any more; whoever made them
  /// may never be told.
  void let_go_of_unfinished();

 private:
  struct Pool {
    std::deque<Blank> waiting{};
    std::size_t being_made = 0;

    std::optional<Blank> take(const std::shared_ptr<const Template>& of);
    std::size_t size() const { return waiting.size() + being_made; }
  };

  asio::awaitable<Result<>> start(std::shared_ptr<Blank> blank, TemplateKind kind, std::uint64_t disk_bytes);
  asio::awaitable<Result<>> rehearse(std::shared_ptr<Blank> blank);
  /// What was made of it, or the error, and then it is ended.
  asio::awaitable<Result<Blank>> discard_unless(Result<> well, std::shared_ptr<Blank> blank);
  asio::awaitable<void> discard_oldest(Pool& pool);
  asio::awaitable<void> watch();
  bool memory_is_short(std::uint64_t bytes) const;
  Pool& pool(BlankFor what) { return what == BlankFor::start ? for_starts_ : for_wakes_; }

  Host& host_;
  Pool for_starts_, for_wakes_;
  std::vector<std::weak_ptr<Blank>> unfinished_;
  std::size_t times_given_up_ = 0;
  bool watched_ = false;
  std::chrono::steady_clock::time_point last_use_{};
  std::atomic<bool> closing_ = false;
};

}  // namespace sprite
