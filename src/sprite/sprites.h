#pragma once
/// Sprites: every sprite of this user and what can be done with them. api/ turns each route into one call here.
///
/// All members run on the daemon's executor (one thread); what blocks is done on a pool. Actions on one sprite queue up
/// behind each other; different sprites proceed at once.
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/stream.h"
#include "wire/types.h"

namespace sprite {

namespace asio = boost::asio;

/// Whether to return only when it is over.
enum class Wait { no, yes };

/// How deep a sprite sleeps: its processors stand still; its memory is on the disk; there is only its disk.
enum class Depth { paused, disk, cold };
/// What becomes of whoever waits for a program through an open connection while it sleeps.
enum class IfInUse { refuse, stand_still };

/// A checkpoint that was made, and a remark about it for people; mostly empty. By a restore: whether programs are as
/// they were, too.
struct Checkpointed {
  wire::Checkpoint checkpoint{};
  std::string note{};
  bool programs_too = false;
};

/// The checkpoint of what was there before a check of the filesystem, and what the check said.
struct FilesystemChecked {
  wire::Checkpoint before{};
  wire::DiskCheck check{};
};

/// A stream to the agent on which `request` is to be posted to /host/difference; the answer is lines of
/// wire::Difference.
struct Comparing {
  Stream agent;
  wire::DifferenceRequest request{};
};

/// An interface because api/ is tested against a double; open.h makes the real one.
class Sprites {
 public:
  virtual ~Sprites() = default;

  /// A new sprite, running and ready for exec; with `from`, a fork: its disk begins as the other's, whose settings it
  /// gets where none are given. With `memory` it begins with the other's memory, too: programs go on in both, open
  /// network connections in the other only. Errors: exists, invalid (name, sizes, no such image, no memory to begin
  /// with), not_found (`from`), no_space, unavailable, corrupt (saved memory cannot be used).
  virtual asio::awaitable<Result<wire::Sprite>> create(wire::CreateRequest request) = 0;
  /// Errors: not_found.
  virtual Result<wire::Sprite> get(const std::string& name) const = 0;
  /// Sorted by name.
  virtual std::vector<wire::Sprite> list() const = 0;
  /// Looks how much of the host's space disks take, which get() and list() show as it was when last looked at.
  virtual asio::awaitable<void> measure_disks() = 0;
  /// Errors: not_found, invalid.
  virtual asio::awaitable<Result<wire::Sprite>> update(std::string name, wire::UpdateRequest request) = 0;
  /// Ends the VM and deletes the disk. Errors: not_found, unavailable.
  virtual asio::awaitable<Result<>> destroy(std::string name) = 0;

  /// A running VM whose agent answers; a no-op if that is so. One that sleeps wakes, programs and all. Errors:
  /// not_found, no_space, unavailable.
  virtual asio::awaitable<Result<wire::Sprite>> start(std::string name) = 0;
  /// Programs end, the filesystem is unmounted, the VM is gone; the disk stays. A VM whose agent does not answer within
  /// 10 s is ended all the same. Errors: not_found, unavailable.
  virtual asio::awaitable<Result<wire::Sprite>> stop(std::string name) = 0;
  virtual asio::awaitable<Result<wire::Sprite>> restart(std::string name) = 0;
  /// The sprite sleeps at least so deep, until something touches it. Programs go on then, but after `cold`, which is
  /// stop(). On its way to the disk, which may be waited for, it may still be woken at once. One that has no VM is
  /// left as it is. Errors: not_found, busy (a connection is open, and it is to be refused then), no_space,
  /// unavailable.
  virtual asio::awaitable<Result<wire::Sprite>> sleep(std::string name, Depth depth, IfInUse if_in_use, Wait wait) = 0;
  /// What an action on the sprite would wait for now: "restore"; empty if for nothing, or there is no such sprite.
  virtual std::string going_on(const std::string& name) const = 0;

  /// Whether there may be one more checkpoint. Errors: not_found, no_space (it has as many as it may have).
  virtual asio::awaitable<Result<>> check_room_for_checkpoint(std::string name) = 0;
  /// Keeps this instant of the disk. Where the guest does not answer it is as after a loss of power, and the note says
  /// so. Errors: not_found, invalid, no_space, unavailable.
  virtual asio::awaitable<Result<Checkpointed>> checkpoint(std::string name, wire::CheckpointRequest request) = 0;
  /// The oldest first, automatic ones included, "Current" last. Errors: not_found.
  virtual asio::awaitable<Result<std::vector<wire::Checkpoint>>> checkpoints(std::string name) = 0;
  /// Errors: not_found, busy (the present disk came after it), no_space, unavailable.
  virtual asio::awaitable<Result<>> remove_checkpoint(std::string name, std::string id) = 0;
  /// Wakes the sprite and has its agent compare two checkpoints. Without `from`, the one that `to` came after; without
  /// `to`, the disk as it is. Errors: not_found, invalid, and as start().
  virtual asio::awaitable<Result<Comparing>> compare(std::string name, std::string from, std::string to) = 0;
  /// The disk becomes as it was; programs end, and a running sprite runs again. What it was is kept as an automatic
  /// checkpoint, which is returned. Errors: not_found, invalid ("Current"), no_space, corrupt, unavailable.
  virtual asio::awaitable<Result<Checkpointed>> restore(std::string name, std::string id) = 0;

  /// Checks the disk's filesystem and mends it. Programs end, as with a restore. Errors: not_found, no_space, corrupt,
  /// unavailable.
  virtual asio::awaitable<Result<FilesystemChecked>> check_filesystem(std::string name) = 0;

  /// Writes the disk as it is now, and the sprite's settings, to the new file `path`. Errors: not_found, exists,
  /// no_space, unavailable.
  virtual asio::awaitable<Result<>> export_to(std::string name, std::string path) = 0;
  /// A new sprite, not yet started, of such a file. Errors: not_found (no such file), corrupt, exists, invalid,
  /// no_space, unavailable.
  virtual asio::awaitable<Result<wire::Sprite>> import_from(wire::ImportRequest request) = 0;
  /// Errors: not_found, corrupt, unavailable.
  virtual asio::awaitable<Result<wire::Usage>> usage(std::string name) = 0;
  /// Removes the packs that no sprite needs. Errors: corrupt, unavailable; nothing is removed then.
  virtual asio::awaitable<Result<wire::Collected>> collect(wire::CollectRequest request) = 0;

  /// Makes what new sprites of that image begin as, with the default memory and processors, unless it is there. Errors:
  /// not_found (no such image), no_space, unavailable (they boot then).
  virtual asio::awaitable<Result<wire::TemplateMade>> make_template(std::string image) = 0;

  /// Wakes the sprite if need be and opens a byte stream to its agent's HTTP server. Errors: as start().
  virtual asio::awaitable<Result<Stream>> connect(std::string name) = 0;
  /// What the agent says of itself, without waking. Errors: not_found, unavailable (not running, no answer).
  virtual asio::awaitable<Result<wire::AgentStatus>> agent_status(std::string name) = 0;

  /// Whether what it starts from is there: its record, and its image. Blocks for a moment. Errors: not_found, corrupt.
  virtual Result<> startable(const std::string& name) const = 0;

  /// The VM's serial console of this and the last boot, at most 1 MiB. Errors: not_found.
  virtual Result<std::string> console_log(const std::string& name) const = 0;

  /// Calls `changed` after each change of a sprite (created, status, updated, destroyed) until the result is destroyed.
  virtual std::shared_ptr<void> watch(std::function<void(const wire::Sprite&)> changed) = 0;

  /// Calls `serve` with each stream that a sprite's guest opens, to ask something of us; without it they are closed.
  virtual void on_guest(std::function<void(const std::string& name, Stream)> serve) = 0;

  virtual wire::DaemonStatus daemon_status() const = 0;

  /// Makes every disk durable and stops serving it; machines wait for the next daemon. Blocks; nothing may be called
  /// after it.
  virtual void close() = 0;
};

}  // namespace sprite
