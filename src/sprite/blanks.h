#pragma once
/// Blanks: VMs whose QEMU waits, its RAM already that of a template, to become any sprite.
///
/// A QEMU takes most of a start's time to come up; a few are kept ready, so that nobody waits for it. Nobody is at
/// home, though, when no sprite has been made or started for a while: blanks are made only after one was, and given up
/// some minutes after the last. They are hidden VMs (hidden_vms.h) until a sprite's machine has taken them over, so
/// that those of a killed daemon are ended by the next. Memory that is short goes to sprites: no blank is made then,
/// and those there are go first.
#include <deque>

#include "sprite/disk_server.h"
#include "sprite/templates.h"

namespace sprite {

struct Blank {
  std::string vm_id{};
  std::shared_ptr<const Template> made_of{};
  std::shared_ptr<DiskServer> disks{};  ///< Of nobody yet.
};

class Blanks {
 public:
  explicit Blanks(Host& host) : host_(host) {}

  /// One that waits, or nothing.
  std::optional<Blank> take_waiting(const std::shared_ptr<const Template>& of);
  /// One that waits, else a new one. Errors: corrupt (the template's RAM), no_space, unavailable.
  asio::awaitable<Result<Blank>> take(std::shared_ptr<const Template> of);
  /// Ends one that was taken and is not needed. Its end is not waited for by anybody else.
  asio::awaitable<void> discard(Blank blank);
  /// Keeps as many ready as the settings say, until they have not been used for some minutes.
  asio::awaitable<void> keep_ready(std::shared_ptr<const Template> of);
  /// Ends those that wait; whether there were any.
  asio::awaitable<bool> give_up();
  /// The VM ended by itself.
  asio::awaitable<void> ended(std::string vm_id);
  /// Lets go of those that wait, without ending them. Nothing may be called after it.
  void close();

 private:
  asio::awaitable<Result<Blank>> make(std::shared_ptr<const Template> of);
  asio::awaitable<Result<>> start(std::shared_ptr<Blank> blank);
  asio::awaitable<void> watch();
  bool memory_is_short(std::uint64_t bytes) const;

  Host& host_;
  std::deque<Blank> waiting_;
  std::size_t being_made_ = 0;
  bool watched_ = false;
  std::chrono::steady_clock::time_point last_use_{};
  std::atomic<bool> closing_ = false;
};

}  // namespace sprite
