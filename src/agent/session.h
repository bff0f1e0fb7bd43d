#pragma once
/// A session: one program that the API started, its output to any number of clients, its input from them.
///
/// States: running, ending (the program itself has ended; its output is still being read), ended. The output ends when
/// every process that holds it has closed it. Only the program itself keeps a session alive, though: once it has ended,
/// what it had written is read completely, and children that it left in the background have 250 ms more to be heard.
/// Then the session ends and they write to a closed pipe. (ssh waits for them for ever; a shell does not, and a session
/// that never ends is worse.) The exit is told after all output. A program is read only as fast as its slowest client
/// takes its output; among several clients, one that has taken nothing for 5 s is dropped. Without clients a program
/// runs on and its latest output is kept. All on one thread.
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/input.h"
#include "agent/output.h"
#include "agent/spawner_client.h"
#include "wire/types.h"

namespace sprite::agent {

struct SessionOptions {
  Program program{};
  bool wants_input = false;  ///< Else standard input is /dev/null. A terminal always has input.
  /// How long it may run without a client; zero: for ever.
  std::chrono::milliseconds run_after_disconnect{0};
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  using Ended = std::function<void(const std::string& id)>;

  /// Starts the program; `ended` is called once when the session has ended. Errors: as SpawnerClient::start.
  static asio::awaitable<Result<std::shared_ptr<Session>>> start(std::shared_ptr<SpawnerClient> spawner, std::string id,
                                                                 SessionOptions options, Ended ended);
  Session(std::shared_ptr<SpawnerClient> spawner, std::string id, SessionOptions options, Ended ended);

  const std::string& id() const { return id_; }
  bool has_terminal() const { return options_.program.terminal; }
  pid_t pid() const { return pid_; }
  /// The exit status once it has ended.
  std::optional<int> status() const { return status_; }
  bool has_clients() const { return !clients_.empty(); }
  wire::Session describe() const;
  /// When it last read or wrote something.
  std::chrono::system_clock::time_point last_activity() const { return last_activity_; }

  /// A new client: it hears who the session is, the latest output, and what follows. `owner`: it started the session.
  std::shared_ptr<Attachment> attach(bool owner);
  void detach(const std::shared_ptr<Attachment>& client);
  /// From now on it may run without a client for ever.
  void outlive_clients();

  asio::awaitable<void> write(std::string bytes);
  void finish_input();
  void resize(std::uint16_t rows, std::uint16_t columns);
  void signal(int number, Reach reach);
  /// Completes when the session has ended, or `limit` has passed (false).
  asio::awaitable<bool> wait_ended(std::chrono::milliseconds limit);

 private:
  struct Source {
    asio::posix::stream_descriptor descriptor;
    Output::Kind kind;
    std::int64_t owed_bytes = 0;  ///< What was written before the program ended and is not read yet.
  };

  asio::awaitable<Result<>> launch();
  Result<std::vector<Fd>> make_stdio();
  void add_source(Fd fd, Output::Kind kind);
  asio::awaitable<void> pump(std::shared_ptr<Source> source);
  asio::awaitable<void> wait_for_room();
  void drop_stalled_clients();
  void deliver(SharedOutput output);
  void program_ended(Ending ending);
  void begin_grace();
  void finish_if_over();
  void watch_absence();
  std::string command() const;

  std::shared_ptr<SpawnerClient> spawner_;
  asio::any_io_executor executor_;
  const std::string id_;
  SessionOptions options_;
  Ended ended_;
  std::uint64_t program_id_ = 0;
  pid_t pid_ = 0;
  std::shared_ptr<Input> input_;
  std::vector<std::shared_ptr<Source>> sources_;
  std::size_t pumps_ = 0;
  bool launched_ = false, grace_over_ = false;
  std::optional<Ending> ending_;
  std::optional<int> status_;
  std::vector<std::shared_ptr<Attachment>> clients_;
  Scrollback scrollback_;
  Event room_, over_;
  asio::steady_timer grace_, absence_;
  const std::chrono::system_clock::time_point created_ = std::chrono::system_clock::now();
  std::chrono::system_clock::time_point last_activity_ = created_;
  std::uint64_t output_bytes_ = 0;
};

}  // namespace sprite::agent
