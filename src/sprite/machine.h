#pragma once
/// The running side of one sprite: its disk server, its VM and the channel to the agent in it.
///
/// States: off (nothing), or on (disk served, VM there, channel acknowledged). power_on() goes from off to on, or back
/// to off when a step fails; shut_down(), cut_power() and let_go() go to off. The disk is served for as long as a QEMU
/// may use it: from before its start until it is known to be gone. The caller (fleet.cpp) lets one of these run at a
/// time.
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/stream.h"
#include "channel/link.h"
#include "nbd/server.h"
#include "sprite/host.h"
#include "sprite/record.h"
#include "store/volume.h"

namespace sprite {

class Machine {
 public:
  Machine(Host& host, const Record& record);
  ~Machine();

  bool on() const { return disk_ != nullptr; }
  /// The agent can be talked to; false while on() after a daemon's restart, or when the guest broke the channel.
  bool reachable() const { return link_ != nullptr && !channel_down_; }

  /// Cold boot until programs may run in it. Errors: no_space, unavailable, corrupt (with the console's last lines).
  asio::awaitable<Result<>> power_on();
  /// Serves the disk of a VM that an earlier daemon left running; at once, since its guest waits. Errors: as opening a
  /// volume.
  Result<> serve_disk();
  /// Connects to the agent of a VM that is there already. Errors: unavailable (the VM is left alone).
  asio::awaitable<Result<>> adopt();
  /// Ends programs, unmounts, powers off; pulls the plug after 10 s without an answer. Errors: unavailable.
  asio::awaitable<Result<>> shut_down();
  /// Pulls the plug. Errors: unavailable.
  asio::awaitable<Result<>> cut_power();
  /// Lets go of everything, the VM being gone.
  asio::awaitable<void> let_go();
  /// Makes the disk durable and stops serving it; the VM waits for the next daemon. Blocks.
  Result<> release();

  /// A stream to the agent's HTTP server. Errors: unavailable (off, or the channel is down).
  Result<Stream> open_stream();
  /// What the agent says of itself. Errors: unavailable.
  asio::awaitable<Result<wire::AgentStatus>> agent_status();

 private:
  asio::awaitable<Result<>> start_vm();
  asio::awaitable<Result<>> connect_agent(std::chrono::milliseconds limit);
  asio::awaitable<Result<>> configure_agent();
  asio::awaitable<Result<>> wait_until_absent(std::chrono::milliseconds limit);
  Result<vm::MachineSpec> machine_spec() const;
  Error with_console(Error error) const;

  Host& host_;
  const Record& record_;
  std::shared_ptr<store::Volume> volume_;
  std::unique_ptr<nbd::Server> disk_;
  std::unique_ptr<channel::Link> link_;
  bool channel_down_ = false;
};

}  // namespace sprite
