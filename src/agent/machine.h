#pragma once
/// What the agent manages, as its HTTP routes see it: the VM with its inner container, or (in tests, on any Linux)
/// nothing but a spawner.
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "agent/spawner_client.h"
#include "agent/timers.h"
#include "agent/tree_comparison.h"
#include "base/result.h"
#include "wire/types.h"

namespace sprite::agent {

class Machine {
 public:
  virtual ~Machine() = default;

  /// Takes on an identity: clock, entropy, names; completes when programs can be started. Safe to repeat.
  /// Errors: unavailable (the container does not start), invalid.
  virtual asio::awaitable<Result<>> configure(wire::Configure configuration) = 0;
  /// What configure() was last given, or nothing before.
  virtual const std::optional<wire::Configure>& configuration() const = 0;
  virtual wire::AgentStatus status() const = 0;
  /// Where programs are started; waits a little for a container that is being restarted. Errors: unavailable.
  virtual asio::awaitable<Result<std::shared_ptr<SpawnerClient>>> spawner() = 0;

  /// Ends every program and the container, unmounts the disk. Errors: unavailable (the disk is still in use; it was
  /// synced).
  virtual asio::awaitable<Result<>> stop() = 0;
  /// Ends the machine; returns, for it takes a moment.
  virtual void power_off() = 0;
  /// Writes what there is to write, then holds back every write to the disk until thaw(), at most 5 s. Errors:
  /// unavailable (nothing is held back then).
  virtual asio::awaitable<Result<>> freeze() = 0;
  virtual Result<> thaw() = 0;
  /// The timers that programs have set (timers.h).
  virtual asio::awaitable<std::vector<Timer>> timers() = 0;
  /// Before the machine sleeps: programs stand still from now on, and what they wrote is on the disk. Where nobody
  /// calls go_on(), they go on by themselves after the machine has run for 15 s. Errors: unavailable (they go on then).
  virtual asio::awaitable<Result<>> hold_programs() = 0;
  /// After it slept: the clock is set, then programs go on. Errors: unavailable (they go on all the same).
  virtual asio::awaitable<Result<>> go_on(std::int64_t realtime_ns) = 0;
  /// Ends every program and the container and unmounts the disk, of which nothing stays cached: it may be exchanged.
  /// Errors: unavailable (the disk is still in use).
  virtual asio::awaitable<Result<>> release_disk() = 0;
  /// Mounts the disk again; completes when programs can be started. Errors: unavailable.
  virtual asio::awaitable<Result<>> take_disk() = 0;
  /// Checks the filesystem of the disk, which has been released, and mends what can be mended. Takes minutes, if need
  /// be. Errors: unavailable (the disk is in use, or there is no e2fsck).
  virtual asio::awaitable<Result<wire::DiskCheck>> check_disk() = 0;
  /// Begins to compare two checkpoints, or one with the disk as it is. What it gives is to be used with
  /// next_differences() and to go soon. Errors: unavailable.
  virtual asio::awaitable<Result<std::shared_ptr<TreeComparison>>> compare(wire::DifferenceRequest request) = 0;
  /// comparison->next(), while this thread does other things.
  virtual asio::awaitable<Result<std::vector<wire::Difference>>> next_differences(
      std::shared_ptr<TreeComparison> comparison) = 0;
  /// The checkpoints that are to be seen inside from now on.
  virtual void show_checkpoints(std::vector<wire::ShownCheckpoint> checkpoints) = 0;
};

}  // namespace sprite::agent
