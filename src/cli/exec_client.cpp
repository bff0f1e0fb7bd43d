// One loop on the main thread; three coroutines: messages from the server to our outputs, our input to the server,
// signals. The first one decides the outcome and ends the loop. Nobody reads ahead: a message is read when the last one
// has been written out, input when the last piece has been handed to the connection; so memory stays bounded both ways.
#include "cli/exec_client.h"

#include <signal.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <optional>

#include "base/text.h"
#include "cli/blocking_io.h"
#include "wire/exec_frames.h"

namespace sprite::cli {
namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr char detach_key = 0x1c;   // Ctrl+backslash
constexpr char end_of_file = 0x04;  // Ctrl+D, what a terminal's line discipline takes for the end
constexpr unsigned short close_normal = 1000;
constexpr int interrupts_to_give_up = 3;
constexpr std::chrono::seconds end_of_file_interval{1};
constexpr std::chrono::milliseconds patience_with_connecting{300}, longest_without_wake{100}, patience_with_dying{1000};

std::string loss_of(const std::string& sprite) { return "the connection to sprite '" + sprite + "' was lost"; }

Error explained(const ExecStreams& streams, Error loss) {
  if (streams.lost) streams.lost(loss);
  return loss;
}

class ExecConnection {
 public:
  ExecConnection(const ExecRequest& request, const ExecStreams& streams, std::unique_ptr<BlockingInput> input)
      : request_(request), streams_(streams), tty_(request.tty), input_(std::move(input)) {}

  Result<ExecOutcome> run(const Client& client) {
    asio::co_spawn(loop_, converse(client), [this](std::exception_ptr failed) {
      if (failed) die("an exception left the exec connection");
      loop_.stop();
    });
    loop_.run();
    raw_.reset();
    input_.reset();  // ends a read under way
    loop_.restart();
    loop_.poll();  // so that the coroutines end while what they use is still there
    if (!error_) return std::move(outcome_);
    return std::move(*error_);
  }

  bool was_lost() const { return lost_; }

 private:
  using Socket = std::unique_ptr<http::WebSocket>;

  asio::awaitable<Result<Socket>> open(const Client& client) {
    CO_TRY_LET(Stream stream, co_await http::connect(client.endpoint()));
    http::Request upgrade;
    upgrade.target = exec_target(request_);
    upgrade = client.prepared(std::move(upgrade));
    co_return co_await http::open_websocket(std::move(stream), upgrade);
  }

  asio::awaitable<void> converse(const Client& client) {
    bool waits = false;
    asio::steady_timer patience(loop_, patience_with_connecting);
    patience.async_wait([&](boost::system::error_code cancelled) {
      if (cancelled || !streams_.waiting) return;
      waits = true;
      streams_.waiting(true);
    });
    const auto began = std::chrono::steady_clock::now();
    auto opened = co_await open(client);
    patience.cancel();
    if (waits) streams_.waiting(false);
    if (std::chrono::steady_clock::now() - began > longest_without_wake && streams_.took_long) streams_.took_long();
    if (!opened) {
      error_ = std::move(opened).error();
      co_return;
    }
    socket_ = *std::move(opened);
    if (request_.session_id.empty()) begin();
    co_await receive();
    co_await socket_->close(close_normal);
  }

  /// The mode of the session is known: from now on input and signals count.
  void begin() {
    if (begun_) return;
    begun_ = true;
    if (tty_ && streams_.input_is_terminal) {
      if (auto raw = RawTerminal::enter(streams_.input)) raw_ = *std::move(raw);
    }
    asio::co_spawn(loop_, send_input(), asio::detached);
    asio::co_spawn(loop_, pass_signals(), asio::detached);
  }

  asio::awaitable<void> receive() {
    while (!finished_) {
      auto message = co_await socket_->read();
      if (!message) {
        lose(message.error());
      } else if (!*message) {
        closed();
      } else if ((*message)->text) {
        take_text((*message)->bytes);
      } else {
        co_await take_bytes(std::move((*message)->bytes));
      }
    }
  }

  void finish(int status) {
    outcome_.status = status;
    finished_ = true;
  }

  void lose(Error cause) {
    if (reader_gone_) return finish(128 + SIGPIPE);
    finished_ = true;
    if (outcome_.detached) return;
    error_ = std::move(cause).within(loss_of(request_.sprite));
    if (!outcome_.session_id.empty()) error_->hint = "sprite -s " + request_.sprite + " attach " + outcome_.session_id;
    lost_ = true;
  }

  /// A close without an exit message: with a terminal the close code tells a little.
  void closed() {
    if (tty_ && socket_->close_code() == close_normal) return finish(0);
    if (outcome_.detached) return finish(0);
    lose(Error{Error::Kind::unavailable, "the server closed it without saying how the program ended", "", {}});
  }

  void take_text(const std::string& text) {
    const auto parsed = wire::parse_exec_text(text);
    if (const auto* info = std::get_if<wire::SessionInfo>(&parsed)) {
      outcome_.session_id = info->session_id;
      if (request_.session_id.empty()) return;
      tty_ = info->tty;
      begin();
      if (tty_) resize();
    } else if (const auto* exit = std::get_if<wire::ExitText>(&parsed)) {
      finish(exit->exit_code);
    }
  }

  asio::awaitable<void> take_bytes(std::string bytes) {
    if (tty_) {
      co_await put(streams_.output, std::move(bytes));
      co_return;
    }
    const auto frame = wire::parse_exec_frame(bytes);
    if (!frame) co_return;
    const wire::ExecStream stream = frame->stream;
    if (stream == wire::ExecStream::exit) {
      finish(wire::exit_status_of(*frame));
    } else if (stream == wire::ExecStream::output || stream == wire::ExecStream::error) {
      bytes.erase(0, 1);
      co_await put(stream == wire::ExecStream::output ? streams_.output : streams_.error, std::move(bytes));
    }
  }

  /// When our reader has gone the program is told so, as in a pipeline without us. What it still says is read and
  /// dropped: closing a socket with unread bytes in it would throw the signal away.
  asio::awaitable<void> put(int fd, std::string bytes) {
    if (reader_gone_) co_return;
    auto written = co_await output_.write(fd, std::move(bytes));
    if (written) co_return;
    reader_gone_ = true;
    if (written.error().kind == Error::Kind::no_space) error_ = written.error();
    send_text_later(wire::to_text(wire::SignalText{SIGPIPE}));
    farewell_.expires_after(patience_with_dying);
    farewell_.async_wait([this](boost::system::error_code cancelled) {
      if (!cancelled) asio::co_spawn(loop_, socket_->close(close_normal), asio::detached);
    });
  }

  asio::awaitable<void> send_input() {
    for (;;) {
      auto bytes = co_await input_->read();
      if (!bytes || bytes->empty()) break;
      if (raw_) {
        const auto key = bytes->find(detach_key);
        if (key != std::string::npos) {
          co_await detach(bytes->substr(0, key));
          co_return;
        }
      }
      auto sent = co_await send(*std::move(bytes));
      if (!sent) co_return;  // receive() learns it, too
    }
    if (tty_) {
      co_await end_typing();
      co_return;
    }
    (void)co_await socket_->send_binary(wire::exec_frame(wire::ExecStream::end_of_input, ""));
  }

  /// Ctrl+D, until the program ends: one that is only starting may not have its terminal set up yet, and miss it.
  asio::awaitable<void> end_typing() {
    asio::steady_timer pause(loop_);
    for (;;) {
      auto sent = co_await socket_->send_binary(std::string(1, end_of_file));
      if (!sent) co_return;
      pause.expires_after(end_of_file_interval);
      const auto [stopped] = co_await pause.async_wait(as_result);
      if (stopped || finished_) co_return;
    }
  }

  asio::awaitable<Result<>> send(std::string bytes) {
    std::string message = tty_ ? std::move(bytes) : wire::exec_frame(wire::ExecStream::input, bytes);
    co_return co_await socket_->send_binary(std::move(message));
  }

  asio::awaitable<void> detach(std::string last_keys) {
    if (!last_keys.empty()) (void)co_await send(std::move(last_keys));
    outcome_.detached = true;
    co_await socket_->close(close_normal);  // which ends receive()
  }

  void resize() {
    const WindowSize size = window_size(streams_.output);
    send_text_later(wire::to_text(wire::Resize{size.columns, size.rows}));
  }

  void send_text_later(std::string text) {
    asio::co_spawn(
        loop_, [this, text = std::move(text)]() -> asio::awaitable<void> { (void)co_await socket_->send_text(text); },
        asio::detached);
  }

  asio::awaitable<void> pass_signals() {
    asio::signal_set signals(loop_, SIGTERM, SIGHUP);
    if (raw_) {
      signals.add(SIGWINCH);
      signals.add(SIGCONT);
    } else {
      for (const int each : {SIGINT, SIGQUIT, SIGUSR1, SIGUSR2}) signals.add(each);
    }
    int interrupts = 0;
    for (;;) {
      const auto [failed, signal] = co_await signals.async_wait(as_result);
      if (failed) co_return;
      if (signal == SIGCONT) raw_->again();
      if (signal == SIGWINCH || signal == SIGCONT) {
        resize();
        continue;
      }
      interrupts += signal == SIGINT;
      const bool goes_on_without_us = request_.detachable || !request_.session_id.empty();
      const bool leaves = tty_ || interrupts == interrupts_to_give_up || (signal == SIGHUP && goes_on_without_us);
      if (leaves) {  // nobody listens any more; the threads of our streams may be stuck
        raw_.reset();
        ::_exit(128 + signal);
      }
      send_text_later(wire::to_text(wire::SignalText{signal}));
    }
  }

  const ExecRequest& request_;
  const ExecStreams& streams_;
  bool tty_;
  bool begun_ = false, finished_ = false, reader_gone_ = false, lost_ = false;
  ExecOutcome outcome_;
  std::optional<Error> error_;
  asio::io_context loop_{1};
  asio::steady_timer farewell_{loop_};
  std::unique_ptr<http::WebSocket> socket_;
  std::unique_ptr<BlockingInput> input_;
  BlockingOutput output_;
  std::unique_ptr<RawTerminal> raw_;
};

}  // namespace

Result<std::vector<std::string>> parse_environment(const std::vector<std::string>& texts) {
  std::vector<std::string> pairs;
  for (const std::string& text : texts) {
    bool first = true;
    for (const std::string& part : split(text, ',')) {
      const bool begins_pair = part.find('=') != std::string::npos && part.front() != '=';
      if (begins_pair)
        pairs.push_back(part);
      else if (first)
        return Error{Error::Kind::invalid, "option --env cannot be '" + text + "'", "give NAME=VALUE", {}};
      else
        pairs.back() += "," + part;
      first = false;
    }
  }
  return pairs;
}

std::string exec_target(const ExecRequest& request) {
  std::string target = "/v1/sprites/" + request.sprite + "/exec";
  if (!request.session_id.empty()) return target + "/" + http::url_encode(request.session_id);
  char separator = '?';
  const auto add = [&](const std::string& key, const std::string& value) {
    target += separator + key + "=" + http::url_encode(value);
    separator = '&';
  };
  for (const std::string& word : request.command) add("cmd", word);
  if (!request.directory.empty()) add("dir", request.directory);
  for (const std::string& pair : request.environment) add("env", pair);
  add("stdin", "true");
  if (request.detachable) add("detachable", "true");
  if (!request.tty) return target;
  add("tty", "true");
  add("cols", std::to_string(request.size.columns));
  add("rows", std::to_string(request.size.rows));
  return target;
}

Result<ExecOutcome> run_exec(const Client& client, const ExecRequest& request, const ExecStreams& streams) {
  ::signal(SIGPIPE, SIG_IGN);  // a closed output is an error of write(), which we pass on
  TRY_LET(auto input, BlockingInput::open(streams.input));
  std::optional<ExecConnection> connection(std::in_place, request, streams, std::move(input));
  auto outcome = connection->run(client);
  const bool lost = connection->was_lost();
  connection.reset();  // the terminal is as it was, and signals end us
  if (!lost) return outcome;
  return explained(streams, std::move(outcome).error());
}

Result<int> run_exec_by_post(const Client& client, const ExecRequest& request, const ExecStreams& streams) {
  constexpr std::size_t input_limit_bytes = 10 * MiB;
  http::Request post{"POST", exec_target(request), "", "application/octet-stream", {}};
  while (!streams.input_is_terminal) {
    char buffer[32 * 1024];
    const ssize_t got = ::read(streams.input, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read the input");
    if (got == 0) break;
    post.body.append(buffer, static_cast<std::size_t>(got));
    if (post.body.size() > input_limit_bytes)
      return Error{
          Error::Kind::invalid, "more than 10 MiB of input do not go through a POST", "leave --http-post out", {}};
  }
  std::optional<int> status;
  const auto begin = std::chrono::steady_clock::now();
  bool connected = false, begun = false;
  const auto take = [&](std::string_view chunk) {
    const bool is_first = !std::exchange(connected, true);
    if (is_first && std::chrono::steady_clock::now() - begin > longest_without_wake && streams.took_long)
      streams.took_long();
    const auto frame = wire::parse_exec_frame(chunk);
    if (!frame) return;
    begun = true;
    if (frame->stream == wire::ExecStream::exit)
      status = wire::exit_status_of(*frame);
    else
      (void)write_all(frame->stream == wire::ExecStream::error ? streams.error : streams.output,
                      as_bytes(frame->payload));
  };
  auto answered = client.stream(std::move(post), take);
  if (status) return *status;
  if (!answered && !begun) return std::move(answered).error();
  if (answered) answered = Error{Error::Kind::unavailable, "the server ended without saying how the program did"};
  return explained(streams, std::move(answered).error().within(loss_of(request.sprite)));
}

}  // namespace sprite::cli
