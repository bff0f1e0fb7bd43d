#pragma once
/// An agent without a VM, and a client that talks to it as the SDKs do.
#include <boost/json/parse.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/plain_machine.h"
#include "agent/routes.h"
#include "http/client.h"
#include "unit/http/loop.h"
#include "wire/exec_frames.h"

namespace sprite::test {

namespace json = boost::json;

/// What a client saw of one exec.
struct Seen {
  std::string out{}, err{}, terminal{};
  std::vector<std::string> texts{};
  std::optional<int> exit{};
  unsigned short close_code = 0;
  bool first_was_session_info = false, has_terminal = false;

  std::string session_id() const {
    if (texts.empty()) return {};
    return std::string(json::parse(texts.front()).at("session_id").as_string());
  }
};

/// "cmd=sh&cmd=-c&cmd=<script>"
inline std::string shell(const std::string& script) { return "cmd=sh&cmd=-c&cmd=" + http::url_encode(script); }

class World {
 public:
  World()
      : machine(start(loop.executor())),
        sessions(*machine),
        activity(loop.executor(), sessions, tasks, "/nonexistent"),
        router_(agent::channel_router(*machine, sessions, tasks, activity)),
        server_(loop.executor(), router_) {
    configure();
  }
  ~World() {
    server_.stop();
    loop.run_for(std::chrono::milliseconds(20));
  }

  Stream connect() {
    auto [ours, theirs] = loop.pair();
    server_.serve(std::move(theirs));
    return std::move(ours);
  }
  http::Response fetch(const std::string& method, const std::string& target, std::string body = {}) {
    Stream stream = connect();
    http::Request request(method, target, std::move(body));
    auto answer = loop.run(http::fetch(stream, request));
    REQUIRE(answer);
    return *answer;
  }
  std::unique_ptr<http::WebSocket> open(const std::string& query) {
    http::Request request("GET", query.starts_with("/") ? query : "/v1/exec?" + query);
    auto socket = loop.run(http::open_websocket(connect(), request));
    REQUIRE(socket);
    return *std::move(socket);
  }
  Seen finish(http::WebSocket& socket, Seen seen = {}) { return loop.run(read_to_end(socket, std::move(seen))); }
  Seen exec(const std::string& query) {
    auto socket = open(query);
    return finish(*socket);
  }

  static asio::awaitable<Seen> read_to_end(http::WebSocket& socket, Seen before) {
    Seen seen = std::move(before);  // GCC 12 breaks a coroutine that returns its own parameter
    while (co_await read_one(socket, seen)) {
    }
    seen.close_code = socket.close_code();
    co_return seen;
  }
  /// False at the end.
  static asio::awaitable<bool> read_one(http::WebSocket& socket, Seen& seen) {
    auto message = co_await socket.read();
    if (!message || !*message) co_return false;
    note(seen, **message);
    co_return true;
  }
  static asio::awaitable<bool> read_until(http::WebSocket& socket, Seen& seen, std::string text) {
    while ((seen.out + seen.terminal).find(text) == std::string::npos) {
      const bool more = co_await read_one(socket, seen);
      if (!more) co_return false;
    }
    co_return true;
  }

  Loop loop;

 private:
  static std::unique_ptr<agent::PlainMachine> start(asio::any_io_executor executor) {
    auto machine = agent::PlainMachine::start(std::move(executor));
    REQUIRE(machine);
    return *std::move(machine);
  }
  void configure() {
    wire::Configure configuration;
    configuration.sprite_name = "test";
    configuration.environment["FROM_CONFIGURE"] = "1";
    REQUIRE(loop.run(machine->configure(configuration)));
  }
  static void note(Seen& seen, const http::Message& message) {
    if (message.text) {
      const wire::ExecText text = wire::parse_exec_text(message.bytes);
      if (seen.texts.empty()) seen.first_was_session_info = std::holds_alternative<wire::SessionInfo>(text);
      if (seen.texts.empty()) seen.has_terminal = seen.first_was_session_info && std::get<wire::SessionInfo>(text).tty;
      if (const auto* exit = std::get_if<wire::ExitText>(&text)) seen.exit = exit->exit_code;
      seen.texts.push_back(message.bytes);
      return;
    }
    CHECK(!seen.texts.empty());  // a client cannot tell what bytes are before session_info
    if (seen.has_terminal) {
      seen.terminal += message.bytes;
      return;
    }
    const auto frame = wire::parse_exec_frame(message.bytes);
    REQUIRE(frame);
    CHECK(!seen.exit);  // nothing comes after the exit
    if (frame->stream == wire::ExecStream::output) seen.out += frame->payload;
    if (frame->stream == wire::ExecStream::error) seen.err += frame->payload;
    if (frame->stream == wire::ExecStream::exit) seen.exit = wire::exit_status_of(*frame);
  }

 public:
  std::unique_ptr<agent::PlainMachine> machine;
  agent::Sessions sessions;
  agent::Tasks tasks;
  agent::ActivityMeter activity;

 private:
  http::Router router_;
  http::Server server_;
};

}  // namespace sprite::test
