#pragma once
/// The agent's end of the spawner's socket: start a program, signal it, hear of its end. All on one executor (one
/// thread). When the spawner is gone (the container died) every program has ended, with status 137, and `lost` is
/// called once.
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <map>
#include <memory>

#include "agent/event.h"
#include "agent/spawner_messages.h"

namespace sprite::agent {

/// How a program ended.
struct Ending {
  int status = 0;     ///< As a shell says it.
  bool lost = false;  ///< The container ended under it.
};

enum class Reach { group, session };

class SpawnerClient : public std::enable_shared_from_this<SpawnerClient> {
 public:
  struct Started {
    std::uint64_t id = 0;
    pid_t pid = 0;  ///< In the container.
    Fd terminal{};  ///< The master end, non-blocking, if the program has a terminal.
  };

  SpawnerClient(asio::any_io_executor executor, Fd socket, std::function<void()> lost);
  /// Begins to listen. Call once.
  void run();
  void close();
  bool alive() const { return alive_; }
  asio::any_io_executor executor() const { return executor_; }

  /// Completes when the spawner has come up. Errors: unavailable (it ended, or time is up).
  asio::awaitable<Result<>> ready(std::chrono::milliseconds limit);
  /// Starts a program; `ended` is called once if this succeeds, at any time from now on, also before this returns.
  /// Errors: unavailable (the container is gone; too many processes), invalid (too long), not_found (no such user).
  asio::awaitable<Result<Started>> start(Program program, std::vector<Fd> stdio, std::function<void(Ending)> ended);
  /// Sends a signal to a program's process group or to its whole session; one that has ended is left alone.
  void signal(std::uint64_t id, int number, Reach reach);
  /// SIGTERM to every program; completes when all have ended. Errors: unavailable (time is up, or the spawner is gone).
  asio::awaitable<Result<>> terminate(std::chrono::milliseconds grace);

 private:
  struct Reply {
    bool arrived = false;
    SpawnerMessage message{};
    std::vector<Fd> fds{};
  };

  asio::awaitable<void> listen();
  void handle(ReceivedMessage received);
  void lose();
  asio::awaitable<Result<>> send(SpawnerMessage message, std::vector<Fd> fds = {});
  asio::awaitable<Result<Reply>> ask(SpawnerMessage message, std::vector<Fd> fds);
  asio::awaitable<bool> wait_for(bool SpawnerClient::*condition, std::chrono::steady_clock::time_point deadline);

  asio::any_io_executor executor_;
  asio::posix::stream_descriptor socket_;
  std::function<void()> lost_;
  Event changed_;
  bool alive_ = true, ready_ = false, terminated_ = false;
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::shared_ptr<Reply>> replies_;
  std::map<std::uint64_t, std::function<void(Ending)>> programs_;
};

}  // namespace sprite::agent
