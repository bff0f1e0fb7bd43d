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

class Sprites {
 public:
  struct Impl;
  explicit Sprites(std::shared_ptr<Impl> impl);
  ~Sprites();

  /// A new sprite, running and ready for exec. Errors: exists, invalid (name, sizes, no such image), no_space, unavailable.
  asio::awaitable<Result<wire::Sprite>> create(wire::CreateRequest request);
  /// Errors: not_found.
  Result<wire::Sprite> get(const std::string& name) const;
  /// Sorted by name.
  std::vector<wire::Sprite> list() const;
  /// Errors: not_found, invalid.
  asio::awaitable<Result<wire::Sprite>> update(std::string name, wire::UpdateRequest request);
  /// Ends the VM and deletes the disk. Errors: not_found, unavailable.
  asio::awaitable<Result<>> destroy(std::string name);

  /// A running VM whose agent answers; a no-op if that is so. Errors: not_found, no_space, unavailable.
  asio::awaitable<Result<wire::Sprite>> start(std::string name);
  /// Programs end, the filesystem is unmounted, the VM is gone; the disk stays. A VM whose agent does not answer within
  /// 10 s is ended all the same. Errors: not_found, unavailable.
  asio::awaitable<Result<wire::Sprite>> stop(std::string name);
  asio::awaitable<Result<wire::Sprite>> restart(std::string name);

  /// Wakes the sprite if need be and opens a byte stream to its agent's HTTP server. Errors: as start().
  asio::awaitable<Result<Stream>> connect(std::string name);
  /// What the agent says of itself, without waking. Errors: not_found, unavailable (not running, no answer).
  asio::awaitable<Result<wire::AgentStatus>> agent_status(std::string name);

  /// The VM's serial console of this and the last boot, at most 1 MiB. Errors: not_found.
  Result<std::string> console_log(const std::string& name) const;

  /// Calls `changed` after each change of a sprite (created, status, updated, destroyed) until the result is destroyed.
  std::shared_ptr<void> watch(std::function<void(const wire::Sprite&)> changed);

  wire::DaemonStatus daemon_status() const;

 private:
  std::shared_ptr<Impl> impl_;
};

}  // namespace sprite
