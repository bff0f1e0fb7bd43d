#include <doctest/doctest.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/unix_socket.h"
#include "http/client.h"
#include "http/server.h"
#include "support/temporary_directory.h"
#include "unit/http/loop.h"

using namespace sprite;
using namespace std::chrono_literals;
using sprite::test::Loop;

namespace {

asio::awaitable<bool> pour(Stream& stream, std::string bytes) {
  const bool written = co_await test::write_all(stream, std::move(bytes));
  stream.shutdown_send();
  co_return written;
}

}  // namespace

TEST_CASE("relay carries both directions, first bytes first, and passes half-closes on") {
  Loop loop;
  auto [client, near] = loop.pair();
  auto [far, server] = loop.pair();
  asio::co_spawn(loop.executor(), http::relay(std::move(near), std::move(far), "first "), asio::detached);
  const std::string up(as_text(random_bytes(3'000'000)));
  const std::string down(as_text(random_bytes(5'000'000)));
  asio::co_spawn(loop.executor(), pour(client, up), asio::detached);
  CHECK(loop.run(test::read_all(server)) == "first " + up);
  asio::co_spawn(loop.executor(), pour(server, down), asio::detached);
  CHECK(loop.run(test::read_all(client)) == down);
}

TEST_CASE("relay ends when both ends have, and when either breaks") {
  Loop loop;
  for (bool broken : {false, true}) {
    auto [client, near] = loop.pair();
    auto [far, server] = loop.pair();
    bool ended = false;
    asio::co_spawn(loop.executor(), http::relay(std::move(near), std::move(far)),
                   [&](std::exception_ptr) { ended = true; });
    loop.run(test::write_all(client, "x"));
    loop.run_for(10ms);
    CHECK_FALSE(ended);
    if (broken) {
      server.close();  // with "x" unread: a reset
      CHECK(loop.run(test::read_all(client)).empty());
      loop.run_for(10ms);
      CHECK(ended);
    } else {
      CHECK(loop.run(test::read_until(server, "x")) == "x");
      server.shutdown_send();
      CHECK(loop.run(test::read_all(client)).empty());  // while it may still send
      CHECK_FALSE(ended);
      client.shutdown_send();
      CHECK(loop.run(test::read_all(server)).empty());
    }
    client.close();
    loop.run_for(10ms);
    CHECK(ended);
  }
}

TEST_CASE("clients connect over both kinds of socket") {
  test::TemporaryDirectory directory;
  Loop loop;
  http::Router router;
  router.add("GET", "/", [](http::Exchange& exchange) -> asio::awaitable<void> {
    co_await exchange.respond({200, "text/plain", "here"});
  });
  http::Server server(loop.executor(), router);
  auto unix_socket = listen_unix(directory / "s");
  auto loopback = http::listen_loopback(0);
  REQUIRE(unix_socket);
  REQUIRE(loopback);
  const auto port = loopback->second;
  server.listen(std::move(*unix_socket));
  server.listen(std::move(loopback->first));

  for (const http::Endpoint& endpoint :
       {http::Endpoint(directory / "s"), http::Endpoint("127.0.0.1", port), http::Endpoint("localhost", port)}) {
    auto stream = loop.run(http::connect(endpoint));
    REQUIRE(stream);
    const http::Request request{};
    CHECK(loop.run(http::fetch(*stream, request))->body == "here");
  }
  CHECK(http::listen_loopback(port).error().kind == Error::Kind::busy);
}

TEST_CASE("where nobody listens, connecting fails with the reason") {
  test::TemporaryDirectory directory;
  Loop loop;
  auto absent = loop.run(http::connect(http::Endpoint(directory / "none")));
  REQUIRE_FALSE(absent);
  CHECK(absent.error().kind == Error::Kind::not_found);
  {
    auto stale = listen_unix(directory / "stale");
    REQUIRE(stale);
  }
  CHECK(loop.run(http::connect(http::Endpoint(directory / "stale"))).error().kind == Error::Kind::unavailable);
  CHECK(loop.run(http::connect(http::Endpoint("127.0.0.1", 1))).error().kind == Error::Kind::unavailable);
}

TEST_CASE("100 connections at once are all served") {
  test::TemporaryDirectory directory;
  Loop loop;
  http::Router router;
  router.add("GET", "/{n}", [](http::Exchange& exchange) -> asio::awaitable<void> {
    co_await test::sleep(5ms);
    co_await exchange.respond({200, "text/plain", exchange.parameter("n")});
  });
  http::Server server(loop.executor(), router);
  server.listen(std::move(*listen_unix(directory / "s")));
  int answered = 0;
  auto one = [&](int n) -> asio::awaitable<void> {
    auto stream = co_await http::connect(http::Endpoint(directory / "s"));
    if (!stream) co_return;
    const http::Request request{"GET", "/" + std::to_string(n)};
    auto answer = co_await http::fetch(*stream, request);
    if (answer && answer->body == std::to_string(n)) ++answered;
  };
  for (int n = 0; n < 100; ++n) asio::co_spawn(loop.executor(), one(n), asio::detached);
  const auto start = std::chrono::steady_clock::now();
  while (answered < 100 && std::chrono::steady_clock::now() - start < 10s) loop.run_for(10ms);
  CHECK(answered == 100);
}
