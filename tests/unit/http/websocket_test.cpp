#include "http/websocket.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "http/client.h"
#include "http/server.h"
#include "unit/http/loop.h"

using namespace sprite;
using namespace std::chrono_literals;
using sprite::test::Loop;

namespace {

/// A server that echoes messages, or does what the path says.
struct World {
  World() : server(loop.executor(), router) {
    router.add("GET", "/echo", [this](http::Exchange& exchange) { return echo(exchange); });
    router.add("GET", "/pour", [](http::Exchange& exchange) { return pour(exchange); });
    router.add("GET", "/refuse", [](http::Exchange& exchange) { return refuse(exchange); });
  }

  asio::awaitable<void> echo(http::Exchange& exchange) {
    exchange.set_header("X-Sprite-Capabilities", "signal");
    auto socket = co_await exchange.upgrade();
    if (!socket) {
      if (!exchange.wants_upgrade()) co_await exchange.respond_error(socket.error());
      co_return;
    }
    for (;;) {
      auto message = co_await (*socket)->read();
      if (!message) {
        lost = true;
        co_return;
      }
      if (!*message) {
        peers_code = (*socket)->close_code();
        co_return;
      }
      if ((*message)->text && (*message)->bytes == "bye") {
        co_await (*socket)->close(4001);
        co_return;
      }
      const Result<> sent = (*message)->text ? co_await (*socket)->send_text((*message)->bytes)
                                             : co_await (*socket)->send_binary((*message)->bytes);
      if (!sent) co_return;
    }
  }
  /// More than any buffer holds, then the end at once.
  static asio::awaitable<void> pour(http::Exchange& exchange) {
    auto socket = co_await exchange.upgrade();
    if (!socket) co_return;
    for (int i = 0; i < 200; ++i) (void)co_await (*socket)->send_binary(std::string(50'000, static_cast<char>(i)));
    co_await (*socket)->close(1000);
  }
  static asio::awaitable<void> refuse(http::Exchange& exchange) {
    const Error error{Error::Kind::not_found, "no sprite is called 'x'", "run `sprite list`"};
    co_await exchange.respond_error(error);
  }

  Stream connection() {
    auto [ours, theirs] = loop.pair();
    server.serve(std::move(theirs));
    return std::move(ours);
  }
  Result<std::unique_ptr<http::WebSocket>> open(const std::string& target) {
    const http::Request request{"GET", target};
    return loop.run(http::open_websocket(connection(), request));
  }
  /// The raw connection after a handshake by hand.
  Stream raw() {
    Stream stream = connection();
    loop.run(test::write_all(
        stream,
        "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
    const std::string head = loop.run(test::read_until(stream, "\r\n\r\n"));
    CHECK(head.starts_with("HTTP/1.1 101 "));
    CHECK(head.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != std::string::npos);
    CHECK(head.find("X-Sprite-Capabilities: signal") != std::string::npos);
    CHECK(head.find("deflate") == std::string::npos);
    return stream;
  }

  Loop loop;
  http::Router router;
  http::Server server;
  bool lost = false;
  unsigned short peers_code = 0;
};

/// A masked frame (the mask is zero, so the payload is plain).
std::string frame(int first, const std::string& payload) {
  REQUIRE(payload.size() < 126);
  return std::string{static_cast<char>(first), static_cast<char>(0x80 | payload.size()), 0, 0, 0, 0} + payload;
}

asio::awaitable<std::size_t> drain(http::WebSocket& socket, std::chrono::milliseconds pause) {
  std::size_t total = 0;
  for (int i = 0;; ++i) {
    if (i % 20 == 0) co_await test::sleep(pause);
    auto message = co_await socket.read();
    if (!message || !*message) co_return total;
    total += (*message)->bytes.size();
  }
}

}  // namespace

TEST_CASE("messages of every size come back as they were") {
  World world;
  auto socket = world.open("/echo");
  REQUIRE(socket);
  for (std::size_t size : {0UL, 1UL, 125UL, 126UL, 65'535UL, 65'536UL, 65'600UL, 1'000'000UL, 16 * MiB}) {
    CAPTURE(size);
    for (bool text : {true, false}) {
      std::string bytes(size, 'a');
      if (!text) bytes = std::string(as_text(random_bytes(size)));
      auto send = [&]() -> asio::awaitable<void> {
        if (text) {
          (void)co_await (*socket)->send_text(bytes);
        } else {
          (void)co_await (*socket)->send_binary(bytes);
        }
      };
      asio::co_spawn(world.loop.executor(), send(), asio::detached);
      auto back = world.loop.run((*socket)->read());
      REQUIRE(back);
      REQUIRE(back->has_value());
      CHECK((*back)->text == text);
      CHECK((*back)->bytes == bytes);
    }
  }
}

TEST_CASE("a message over 16 MiB ends the connection") {
  World world;
  auto socket = world.open("/echo");
  REQUIRE(socket);
  auto send = [&]() -> asio::awaitable<void> { (void)co_await (*socket)->send_binary(std::string(16 * MiB + 1, 'x')); };
  asio::co_spawn(world.loop.executor(), send(), asio::detached);
  auto back = world.loop.run((*socket)->read());
  CHECK((!back || !*back));
  CHECK((world.lost || (*socket)->close_code() == 1009));
}

TEST_CASE("many writers at once keep their messages whole and in order") {
  World world;
  auto socket = world.open("/echo");
  REQUIRE(socket);
  auto send = [&](int writer) -> asio::awaitable<void> {
    for (int i = 0; i < 20; ++i)
      (void)co_await (*socket)->send_binary(std::string(10'000, static_cast<char>(writer)) + static_cast<char>(i));
  };
  for (int writer = 0; writer < 8; ++writer) asio::co_spawn(world.loop.executor(), send(writer), asio::detached);
  int next[8] = {};
  for (int i = 0; i < 8 * 20; ++i) {
    auto back = world.loop.run((*socket)->read());
    REQUIRE(back);
    REQUIRE(back->has_value());
    const std::string& bytes = (*back)->bytes;
    const int writer = bytes.front();
    CHECK(bytes == std::string(10'000, static_cast<char>(writer)) + static_cast<char>(next[writer]++));
  }
}

TEST_CASE("close codes pass both ways") {
  World world;
  auto socket = world.open("/echo");
  REQUIRE(socket);
  CHECK(world.loop.run((*socket)->send_text("bye")));
  auto end = world.loop.run((*socket)->read());
  REQUIRE(end);
  CHECK_FALSE(end->has_value());
  CHECK((*socket)->close_code() == 4001);

  auto other = world.open("/echo");
  REQUIRE(other);
  world.loop.run((*other)->close(1011));
  world.loop.run((*other)->close(1000));
  CHECK_FALSE(world.loop.run((*other)->send_text("late")));
  world.loop.run_for(20ms);
  CHECK(world.peers_code == 1011);
}

TEST_CASE("a slow reader gets all that was sent before the close") {
  World world;
  auto socket = world.open("/pour");
  REQUIRE(socket);
  CHECK(world.loop.run(drain(**socket, 10ms)) == 200 * 50'000);
  CHECK((*socket)->close_code() == 1000);
}

TEST_CASE("a close is not lost although the client still sends") {
  World world;
  auto socket = world.open("/pour");
  REQUIRE(socket);
  auto send = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 200; ++i) (void)co_await (*socket)->send_binary(std::string(50'000, 'x'));
  };
  asio::co_spawn(world.loop.executor(), send(), asio::detached);
  CHECK(world.loop.run(drain(**socket, 5ms)) == 200 * 50'000);
  CHECK((*socket)->close_code() == 1000);
}

TEST_CASE("a refused upgrade is the server's own error") {
  World world;
  auto socket = world.open("/refuse");
  REQUIRE_FALSE(socket);
  CHECK(socket.error().kind == Error::Kind::not_found);
  CHECK(socket.error().what == "no sprite is called 'x'");
  CHECK(socket.error().hint == "run `sprite list`");
}

TEST_CASE("a plain request where a WebSocket is needed is refused, a half-made upgrade too") {
  World world;
  Stream stream = world.connection();
  const http::Request request{"GET", "/echo"};
  CHECK(world.loop.run(http::fetch(stream, request))->status == 400);
  world.loop.run(
      test::write_all(stream, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"));
  CHECK(world.loop.run(test::read_until(stream, "\r\n\r\n")).starts_with("HTTP/1.1 400 "));
}

TEST_CASE("a lost connection is an error, not an end") {
  World world;
  auto socket = world.open("/echo");
  REQUIRE(socket);
  world.server.stop();
  CHECK_FALSE(world.loop.run((*socket)->read()));
}

TEST_CASE("pings are answered and fragments joined") {
  World world;
  Stream stream = world.raw();
  world.loop.run(
      test::write_all(stream, frame(0x89, "ping?") + frame(0x01, "he") + frame(0x89, "again") + frame(0x80, "llo")));
  const std::string expected = std::string("\x8a\x05ping?") + "\x8a\x05" + "again" + "\x81\x05hello";
  CHECK(world.loop.run(test::read_until(stream, "hello")) == expected);
}

TEST_CASE("malformed frames end the connection") {
  for (const std::string& malformed :
       {frame(0x83, "reserved opcode"), frame(0xf1, "reserved bits"), frame(0x80, "continues nothing"),
        std::string("\x81\x05hello"), frame(0x09, "a ping in parts"), frame(0x81, "\xff\xfe not utf-8"),
        std::string("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14)}) {
    CAPTURE(malformed);
    World world;
    Stream stream = world.raw();
    world.loop.run(test::write_all(stream, malformed));
    const std::string rest = world.loop.run(test::read_all(stream));
    CHECK((rest.empty() || rest.front() == '\x88'));
    CHECK((world.lost || world.peers_code != 0));
  }
}
