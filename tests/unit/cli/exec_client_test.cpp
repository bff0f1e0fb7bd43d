#include "cli/exec_client.h"

#include <doctest/doctest.h>
#include <pty.h>
#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <future>

#include "fake_server.h"
#include "wire/exec_frames.h"

using namespace sprite;
using namespace sprite::cli;
using namespace std::chrono_literals;
using wire::ExecStream;

namespace {

using Socket = std::unique_ptr<http::WebSocket>;
using Script = std::function<asio::awaitable<void>(http::WebSocket&)>;

/// A server whose exec route upgrades and then does what `script` says.
http::Router exec_router(Script script, std::string path = "/v1/sprites/{name}/exec") {
  http::Router router;
  router.add("GET", std::move(path), [script](http::Exchange& exchange) -> asio::awaitable<void> {
    auto socket = co_await exchange.upgrade();
    if (!socket) co_return;
    co_await script(**socket);
    co_await (*socket)->close(1000);
  });
  return router;
}

/// Pipes in the place of standard streams; what comes out is collected on threads.
class Streams {
 public:
  Streams() {
    for (Pipe* pipe : {&input, &output_, &error_}) *pipe = *make_pipe();
    for (auto [pipe, text] : {std::pair{&output_, &out}, std::pair{&error_, &err}})
      collectors_.push_back(std::async(std::launch::async, [fd = pipe->read_end.get(), text = text] {
        char buffer[65536];
        for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;)
          text->append(buffer, static_cast<std::size_t>(got));
      }));
  }
  ExecStreams streams() const {
    return {input.read_end.get(), output_.write_end.get(), error_.write_end.get(), false, {}};
  }
  void type(std::string_view text) { REQUIRE(write_all(input.write_end.get(), as_bytes(text))); }
  void end_input() { input.write_end.reset(); }
  /// Closes our ends and waits for the collectors.
  void collect() {
    output_.write_end.reset();
    error_.write_end.reset();
    for (auto& collector : collectors_) collector.wait();
  }

  Pipe input;
  std::string out, err;

 private:
  Pipe output_, error_;
  std::vector<std::future<void>> collectors_;
};

ExecRequest command(std::vector<std::string> words) {
  ExecRequest request;
  request.sprite = "box";
  request.command = std::move(words);
  return request;
}

std::string session_info(const std::string& id, bool tty) {
  wire::SessionInfo info;
  info.session_id = id;
  info.tty = tty;
  return wire::to_text(info);
}
std::string exit_text(int status) {
  wire::ExitText exit;
  exit.exit_code = status;
  return wire::to_text(exit);
}

/// Echoes input frames as output frames, then exits with `status`.
Script echo(int status) {
  return [status](http::WebSocket& socket) -> asio::awaitable<void> {
    (void)co_await socket.send_text(session_info("s1", false));
    for (;;) {
      auto message = co_await socket.read();
      if (!message || !*message) co_return;
      const std::string bytes = (*message)->bytes;
      const auto frame = wire::parse_exec_frame(bytes);
      if (!frame || frame->stream == ExecStream::end_of_input) break;
      (void)co_await socket.send_binary(wire::exec_frame(ExecStream::output, frame->payload));
    }
    (void)co_await socket.send_binary(wire::exit_frame(status));
  };
}

}  // namespace

TEST_CASE("the end of input is typed again to a program that missed it") {
  const Script deaf = [](http::WebSocket& socket) -> asio::awaitable<void> {
    (void)co_await socket.send_text(session_info("s1", true));
    for (int heard = 0; heard < 2;) {
      auto message = co_await socket.read();
      if (!message || !*message) co_return;
      if ((*message)->bytes == "\x04") ++heard;
    }
    (void)co_await socket.send_text(exit_text(7));
  };
  const test::FakeServer server(exec_router(deaf));
  Streams streams;
  streams.end_input();
  ExecRequest request = command({"bash"});
  request.tty = true;
  const auto outcome = run_exec(server.client(), request, streams.streams());
  streams.collect();
  REQUIRE(outcome);
  CHECK(outcome->status == 7);
}

TEST_CASE("an exec's target carries its command, encoded, and its mode") {
  ExecRequest request = command({"sh", "-c", "echo a&b=c"});
  request.directory = "/tmp";
  request.environment = {"A=1 2"};
  CHECK(exec_target(request) ==
        "/v1/sprites/box/exec?cmd=sh&cmd=-c&cmd=echo%20a%26b%3Dc&dir=%2Ftmp&env=A%3D1%202&stdin=true");
  request.tty = request.detachable = true;
  request.size = {100, 30};
  CHECK(exec_target(request).ends_with("&stdin=true&detachable=true&tty=true&cols=100&rows=30"));
  request.session_id = "a b";
  CHECK(exec_target(request) == "/v1/sprites/box/exec/a%20b");
}

TEST_CASE("variables are separated by commas, and values may hold commas") {
  CHECK(*parse_environment({"A=1,B=two", "C=x,y,z"}) == std::vector<std::string>{"A=1", "B=two", "C=x,y,z"});
  CHECK(*parse_environment({"A="}) == std::vector<std::string>{"A="});
  CHECK(parse_environment({"A"}).error().kind == Error::Kind::invalid);
  CHECK(parse_environment({""}).error().kind == Error::Kind::invalid);
  CHECK(parse_environment({"=x"}).error().kind == Error::Kind::invalid);
}

TEST_CASE("bytes pass unchanged both ways, and the exit status is the program's") {
  const test::FakeServer server(exec_router(echo(3)));
  Streams streams;
  std::string all;
  for (int round = 0; round < 300; ++round)
    for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  auto typing = std::async(std::launch::async, [&] {
    streams.type(all);
    streams.end_input();
  });
  const auto outcome = run_exec(server.client(), command({"cat"}), streams.streams());
  typing.wait();
  streams.collect();
  REQUIRE(outcome);
  CHECK(outcome->status == 3);
  CHECK_FALSE(outcome->detached);
  CHECK(outcome->session_id == "s1");
  CHECK(streams.out == all);
  CHECK(streams.err.empty());
}

TEST_CASE("standard output and error stay apart, and everything before the exit is written") {
  const test::FakeServer server(exec_router([](http::WebSocket& socket) -> asio::awaitable<void> {
    for (int i = 0; i < 100; ++i) {
      (void)co_await socket.send_binary(wire::exec_frame(ExecStream::output, "o"));
      (void)co_await socket.send_binary(wire::exec_frame(ExecStream::error, "e"));
      (void)co_await socket.send_text(R"({"type":"news"})");
      (void)co_await socket.send_binary(std::string());
    }
    (void)co_await socket.send_binary(wire::exit_frame(255));
  }));
  Streams streams;
  const auto outcome = run_exec(server.client(), command({"x"}), streams.streams());
  streams.collect();
  REQUIRE(outcome);
  CHECK(outcome->status == 255);
  CHECK(streams.out == std::string(100, 'o'));
  CHECK(streams.err == std::string(100, 'e'));
}

TEST_CASE("a program that ends does not wait for our input to end") {
  const test::FakeServer server(exec_router([](http::WebSocket& socket) -> asio::awaitable<void> {
    (void)co_await socket.send_binary(wire::exit_frame(0));
  }));
  Streams streams;
  CHECK(run_exec(server.client(), command({"true"}), streams.streams())->status == 0);
  streams.collect();
}

TEST_CASE("a connection lost before the exit is an error that says how to come back") {
  const test::FakeServer server(exec_router([](http::WebSocket& socket) -> asio::awaitable<void> {
    (void)co_await socket.send_text(session_info("s7", false));
    (void)co_await socket.send_binary(wire::exec_frame(ExecStream::output, "half"));
  }));
  Streams streams;
  ExecStreams ours = streams.streams();
  ours.lost = [](Error& error) { error.because = {"the sprite was destroyed"}; };
  const auto outcome = run_exec(server.client(), command({"x"}), ours);
  streams.collect();
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().kind == Error::Kind::unavailable);
  CHECK(outcome.error().hint == "sprite -s box attach s7");
  CHECK(outcome.error().because == std::vector<std::string>{"the sprite was destroyed"});
  CHECK(streams.out == "half");
}

TEST_CASE("a refused exec gives the server's own error") {
  http::Router router;
  router.add("GET", "/v1/sprites/{name}/exec", [](http::Exchange& exchange) -> asio::awaitable<void> {
    const Error error(Error::Kind::not_found, "no sprite is called 'box'", "sprite list", {});
    co_await exchange.respond_error(error);
  });
  const test::FakeServer server(std::move(router));
  Streams streams;
  const auto outcome = run_exec(server.client(), command({"x"}), streams.streams());
  streams.collect();
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().kind == Error::Kind::not_found);
  CHECK(outcome.error().what == "no sprite is called 'box'");
  CHECK(outcome.error().hint == "sprite list");
}

TEST_CASE("no server at all is an error") {
  http::Endpoint endpoint;
  endpoint.unix_socket = "/nonexistent/socket";
  Streams streams;
  CHECK_FALSE(run_exec(Client(endpoint), command({"x"}), streams.streams()));
  streams.collect();
}

TEST_CASE("input is read only as fast as the server takes it") {
  std::atomic<bool> go{false};
  const test::FakeServer server(exec_router([&](http::WebSocket& socket) -> asio::awaitable<void> {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!go) {  // reads nothing meanwhile
      timer.expires_after(5ms);
      co_await timer.async_wait(asio::use_awaitable);
    }
    std::size_t got = 0;
    for (;;) {
      auto message = co_await socket.read();
      if (!message || !*message) co_return;
      const std::string bytes = (*message)->bytes;
      const auto frame = wire::parse_exec_frame(bytes);
      if (!frame || frame->stream == ExecStream::end_of_input) break;
      got += frame->payload.size();
    }
    (void)co_await socket.send_binary(wire::exec_frame(ExecStream::output, std::to_string(got)));
    (void)co_await socket.send_binary(wire::exit_frame(0));
  }));
  constexpr std::size_t total_bytes = 64 * MiB;
  Streams streams;
  std::atomic<std::size_t> typed{0};
  auto typing = std::async(std::launch::async, [&] {
    const std::string block(MiB, 'x');
    while (typed < total_bytes) {
      streams.type(block);
      typed += block.size();
    }
    streams.end_input();
  });
  auto running =
      std::async(std::launch::async, [&] { return run_exec(server.client(), command({"wc"}), streams.streams()); });
  std::this_thread::sleep_for(300ms);
  CHECK(typed < 8 * MiB);
  go = true;
  const auto outcome = running.get();
  typing.wait();
  streams.collect();
  REQUIRE(outcome);
  CHECK(streams.out == std::to_string(total_bytes));
}

TEST_CASE("signals are passed on to the program") {
  const test::FakeServer server(exec_router([](http::WebSocket& socket) -> asio::awaitable<void> {
    (void)co_await socket.send_binary(wire::exec_frame(ExecStream::output, "ready"));
    for (;;) {
      auto message = co_await socket.read();
      if (!message || !*message) co_return;
      if (!(*message)->text) continue;
      const auto text = wire::parse_exec_text((*message)->bytes);
      if (const auto* signal = std::get_if<wire::SignalText>(&text)) {
        (void)co_await socket.send_binary(wire::exit_frame(128 + signal->number));
        co_return;
      }
    }
  }));
  Streams streams;
  auto killing = std::async(std::launch::async, [&] {
    while (streams.out.empty()) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(20ms);
    ::kill(::getpid(), SIGTERM);
  });
  const auto outcome = run_exec(server.client(), command({"sleep"}), streams.streams());
  killing.wait();
  streams.collect();
  REQUIRE(outcome);
  CHECK(outcome->status == 128 + SIGTERM);
}

TEST_CASE("when our reader goes away the program is told and we end as it would") {
  std::atomic<int> told{0};
  const test::FakeServer server(exec_router([&](http::WebSocket& socket) -> asio::awaitable<void> {
    for (;;) {
      auto sent = co_await socket.send_binary(wire::exec_frame(ExecStream::output, "y\n"));
      auto message = co_await socket.read();  // the end of input first, then the signal
      if (!sent || !message || !*message) co_return;
      const auto text = wire::parse_exec_text((*message)->bytes);
      if (const auto* signal = std::get_if<wire::SignalText>(&text)) {
        told = signal->number;
        (void)co_await socket.send_binary(wire::exit_frame(128 + SIGPIPE));
        co_return;
      }
    }
  }));
  Pipe input = *make_pipe(), output = *make_pipe();
  input.write_end.reset();
  output.read_end.reset();
  const ExecStreams streams{input.read_end.get(), output.write_end.get(), STDERR_FILENO, false, {}};
  const auto outcome = run_exec(server.client(), command({"yes"}), streams);
  REQUIRE(outcome);
  CHECK(outcome->status == 128 + SIGPIPE);
  for (int i = 0; i < 200 && told == 0; ++i) std::this_thread::sleep_for(5ms);
  CHECK(told == SIGPIPE);
}

TEST_CASE("on a terminal keys pass raw, Ctrl+\\ detaches, and the terminal gets its mode back") {
  std::string received;
  std::promise<std::string> size;
  const test::FakeServer server(exec_router([&](http::WebSocket& socket) -> asio::awaitable<void> {
    (void)co_await socket.send_text(session_info("s2", true));
    (void)co_await socket.send_binary("$ ");
    for (;;) {
      auto message = co_await socket.read();
      if (!message || !*message) co_return;
      received += (*message)->bytes;
    }
  }));
  int primary = -1, secondary = -1;
  REQUIRE(::openpty(&primary, &secondary, nullptr, nullptr, nullptr) == 0);
  const Fd keyboard(primary), terminal(secondary);
  termios before{};
  ::tcgetattr(terminal.get(), &before);
  Streams streams;
  ExecStreams joined = streams.streams();
  joined.input = terminal.get();
  joined.input_is_terminal = true;
  bool was_raw = false;
  auto typing = std::async(std::launch::async, [&] {
    while (streams.out.empty()) std::this_thread::sleep_for(1ms);
    termios now{};
    ::tcgetattr(terminal.get(), &now);
    was_raw = (now.c_lflag & (ICANON | ECHO | ISIG)) == 0;
    (void)!::write(keyboard.get(), "ls\r\x03", 4);
    std::this_thread::sleep_for(50ms);
    (void)!::write(keyboard.get(), "q\x1cnever", 7);
  });
  ExecRequest request = command({});
  request.tty = request.detachable = true;
  const auto outcome = run_exec(server.client(), request, joined);
  typing.wait();
  streams.collect();
  REQUIRE(outcome);
  CHECK(outcome->detached);
  CHECK(outcome->session_id == "s2");
  CHECK(was_raw);
  termios after{};
  ::tcgetattr(terminal.get(), &after);
  CHECK(after.c_lflag == before.c_lflag);
  CHECK(after.c_iflag == before.c_iflag);
  CHECK(streams.out == "$ ");
  for (int i = 0; i < 200 && received.size() < 5; ++i) std::this_thread::sleep_for(5ms);
  CHECK(received == "ls\r\x03q");
}

TEST_CASE("attaching learns the mode of the session first, and tells it our size") {
  for (const bool tty : {false, true}) {
    CAPTURE(tty);
    std::atomic<bool> resized{false};
    const test::FakeServer server(exec_router(
        [&](http::WebSocket& socket) -> asio::awaitable<void> {
          (void)co_await socket.send_text(session_info("s3", tty));
          std::string output = "text";
          if (!tty) output = wire::exec_frame(ExecStream::output, "text");
          (void)co_await socket.send_binary(std::move(output));
          if (tty) {
            auto message = co_await socket.read();
            const auto text = message && *message ? wire::parse_exec_text((*message)->bytes) : wire::ExecText();
            resized = std::holds_alternative<wire::Resize>(text);
            (void)co_await socket.send_text(exit_text(5));
          } else {
            (void)co_await socket.send_binary(wire::exit_frame(5));
          }
        },
        "/v1/sprites/{name}/exec/{session}"));
    Streams streams;
    ExecRequest request = command({});
    request.session_id = "s3";
    const auto outcome = run_exec(server.client(), request, streams.streams());
    streams.collect();
    REQUIRE(outcome);
    CHECK(outcome->status == 5);
    CHECK(streams.out == "text");
    CHECK(resized == tty);
  }
}

TEST_CASE("exec over POST passes frames and the status") {
  http::Router router;
  router.add("POST", "/v1/sprites/{name}/exec", [](http::Exchange& exchange) -> asio::awaitable<void> {
    auto body = co_await exchange.read_body(MiB);
    (void)co_await exchange.begin_stream(200, "application/octet-stream");
    std::string input = "none";
    if (body) input = *body;
    (void)co_await exchange.write_chunk(wire::exec_frame(ExecStream::output, input));
    (void)co_await exchange.write_chunk(wire::exec_frame(ExecStream::error, "e"));
    (void)co_await exchange.write_chunk(wire::exit_frame(9));
    (void)co_await exchange.end_stream();
  });
  const test::FakeServer server(std::move(router));
  Streams streams;
  streams.type(std::string_view("a\0b", 3));
  streams.end_input();
  const auto status = run_exec_by_post(server.client(), command({"cat"}), streams.streams());
  streams.collect();
  REQUIRE(status);
  CHECK(*status == 9);
  CHECK(streams.out == std::string("a\0b", 3));
  CHECK(streams.err == "e");
}

TEST_CASE("a POST that ends before its program is a lost connection") {
  http::Router router;
  router.add("POST", "/v1/sprites/{name}/exec", [](http::Exchange& exchange) -> asio::awaitable<void> {
    (void)co_await exchange.read_body(MiB);
    (void)co_await exchange.begin_stream(200, "application/octet-stream");
    (void)co_await exchange.write_chunk(wire::exec_frame(ExecStream::output, "half"));
    co_return;  // the connection ends in the middle of the answer
  });
  const test::FakeServer server(std::move(router));
  Streams streams;
  streams.end_input();
  ExecStreams ours = streams.streams();
  int asked = 0;
  ours.lost = [&](Error& error) { error.hint = std::to_string(++asked); };
  const auto status = run_exec_by_post(server.client(), command({"x"}), ours);
  streams.collect();
  REQUIRE_FALSE(status);
  CHECK(status.error().what == "the connection to sprite 'box' was lost");
  CHECK(status.error().hint == "1");
  CHECK(streams.out == "half");
}
