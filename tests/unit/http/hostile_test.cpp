// Clients that send anything and leave at any moment. The server must go on serving the others and keep nothing of
// them.
#include <doctest/doctest.h>

#include <filesystem>
#include <random>

#include "base/bytes.h"
#include "http/client.h"
#include "http/server.h"
#include "unit/http/loop.h"

using namespace sprite;
using namespace std::chrono_literals;

namespace {

struct World {
  World() : server(loop.executor(), router, {}, {50ms, 200ms}) {
    router.add("POST", "/echo", [](http::Exchange& exchange) -> asio::awaitable<void> {
      auto body = co_await exchange.read_body(MiB);
      if (!body) {
        co_await exchange.respond_error(body.error());
        co_return;
      }
      co_await exchange.respond(http::Response(200, "text/plain", std::move(*body)));
    });
    router.add("GET", "/socket", [](http::Exchange& exchange) -> asio::awaitable<void> {
      auto socket = co_await exchange.upgrade();
      for (bool open = socket.has_value(); open;) {
        auto message = co_await (*socket)->read();
        open = message && *message;
        if (open) (void)co_await (*socket)->send_binary((*message)->bytes);
      }
    });
    router.add("GET", "/pour", [this](http::Exchange& exchange) -> asio::awaitable<void> {
      Result<> sent = co_await exchange.begin_stream(200, "text/plain");
      while (sent) {
        sent = co_await exchange.write_chunk(std::string(64 * 1024, 'x'));
        poured += 64 * 1024;
      }
    });
  }

  Stream client() {
    auto [ours, theirs] = loop.pair();
    server.serve(std::move(theirs));
    return std::move(ours);
  }

  test::Loop loop;
  http::Router router;
  http::Server server;
  std::size_t poured = 0;
};

const std::string seeds[] = {
    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x82\x85\1\2\3\4hello\x89\x80\1\2\3\4\x88\x82\1\2\3\4\2\xea",
};

/// One of the seeds, or several, with some bytes changed, removed or doubled.
std::string mutated(std::mt19937& random) {
  std::string bytes;
  for (unsigned count = 1 + random() % 3; count > 0; --count) bytes += seeds[random() % std::size(seeds)];
  for (unsigned count = random() % 6; count > 0; --count) {
    const std::size_t at = random() % bytes.size();
    switch (random() % 4) {
      case 0: bytes[at] = static_cast<char>(random()); break;
      case 1: bytes.erase(at, 1 + random() % 8); break;
      case 2: bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 40)); break;
      default: bytes.resize(at + 1);
    }
    if (bytes.empty()) bytes = "x";
  }
  return bytes;
}

std::size_t open_files() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

}  // namespace

TEST_CASE("whatever clients send, the others are served and nothing of them stays") {
  World world;
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  world.client().close();  // the event loop opens files of its own with its first socket
  world.loop.run_for(20ms);
  const std::size_t before = open_files();
  for (int round = 0; round < 400; ++round) {
    Stream stream = world.client();
    const std::string bytes = mutated(random);
    CAPTURE(bytes);
    world.loop.run(test::write_all(stream, bytes));
    if (random() % 2) stream.shutdown_send();
    if (random() % 2) world.loop.run_for(1ms);
    if (round % 50 != 0) continue;
    Stream good = world.client();
    const http::Request request("POST", "/echo", "good");
    auto answer = world.loop.run(http::fetch(good, request));
    REQUIRE(answer);
    CHECK(answer->body == "good");
  }
  const auto limit = std::chrono::steady_clock::now() + 5s;
  while (open_files() > before && std::chrono::steady_clock::now() < limit) world.loop.run_for(20ms);
  CHECK(open_files() == before);
}

TEST_CASE("a client that does not read holds its own stream back, not memory") {
  World world;
  Stream lazy = world.client();
  world.loop.run(test::write_all(lazy, "GET /pour HTTP/1.1\r\nHost: x\r\n\r\n"));
  world.loop.run_for(100ms);
  const std::size_t held = world.poured;
  CHECK(held < 2 * MiB);
  world.loop.run_for(100ms);
  CHECK(world.poured == held);
  Stream good = world.client();
  const http::Request request("POST", "/echo", "good");
  CHECK(world.loop.run(http::fetch(good, request))->body == "good");
}

TEST_CASE("hundreds of idle connections do not keep a request waiting") {
  World world;
  std::vector<Stream> idle;
  for (int i = 0; i < 400; ++i) idle.push_back(world.client());
  Stream good = world.client();
  const http::Request request("POST", "/echo", "good");
  CHECK(world.loop.run(http::fetch(good, request))->body == "good");
}

TEST_CASE("an answer whose line does not end is given up") {
  for (const std::string& start : {std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;"),
                                   std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: "),
                                   std::string("HTTP/1.1 200 OK\r\nA: "), std::string("HTTP/1.1 200 ")}) {
    CAPTURE(start);
    test::Loop loop;
    auto [ours, theirs] = loop.pair();
    std::size_t sent = 0;
    auto pour = [](Stream stream, std::string bytes, std::size_t& count) -> asio::awaitable<void> {
      bool taken = co_await test::write_all(stream, bytes);
      const std::string more(64 * KiB, 'x');
      while (taken && count < 16 * MiB) {
        taken = co_await test::write_all(stream, more);
        count += more.size();
      }
    };
    asio::co_spawn(loop.executor(), pour(std::move(theirs), start, sent), asio::detached);
    const http::Request request("GET", "/");
    CHECK_FALSE(loop.run(http::fetch(ours, request)));
    CHECK(sent < MiB);
  }
}

TEST_CASE("an answer is as large as its reader wants it at most") {
  World world;
  const http::Request request("POST", "/echo", std::string(100 * KiB, 'x'));
  Stream first = world.client(), second = world.client();
  CHECK(world.loop.run(http::fetch(first, request, 100 * KiB)));
  CHECK_FALSE(world.loop.run(http::fetch(second, request, 64 * KiB)));
}
