#include <doctest/doctest.h>

#include "base/text.h"
#include "http/client.h"
#include "http/server.h"
#include "unit/http/loop.h"

using namespace sprite;
using namespace std::chrono_literals;
using sprite::test::Loop;

namespace {

/// A server with a handler of each kind, on one end of socket pairs.
struct World {
  World(http::Guard guard = {}, http::Limits limits = {}) : server(loop.executor(), router, std::move(guard), limits) {
    router.add("GET", "/hello/{name}", hello).add("POST", "/echo", echo).add("POST", "/ignore", ignore);
    router.add("GET", "/count", count)
        .add("GET", "/broken", broken)
        .add("GET", "/throws", throws)
        .add("GET", "/silent", silent);
    router.add("*", "/taken/{rest...}", take);
  }

  static asio::awaitable<void> hello(http::Exchange& exchange) {
    const std::string greeting = exchange.query("greeting").value_or("hello");
    exchange.set_header("X-Greeting", greeting + "\r\nX-Evil: 1");
    co_await exchange.respond({200, "text/plain", greeting + " " + exchange.parameter("name")});
  }
  static asio::awaitable<void> echo(http::Exchange& exchange) {
    auto body = co_await exchange.read_body(1000);
    if (!body) {
      co_await exchange.respond_error(body.error());
      co_return;
    }
    co_await exchange.respond({201, "text/plain", std::move(*body)});
  }
  static asio::awaitable<void> ignore(http::Exchange& exchange) { co_await exchange.respond({204, "", ""}); }
  static asio::awaitable<void> count(http::Exchange& exchange) {
    (void)co_await exchange.begin_stream(200, "application/octet-stream");
    for (const std::string part : {"one", "two", "three"}) (void)co_await exchange.write_chunk(part);
    const Result<> big = co_await exchange.write_chunk(std::string(300'000, 'x'));
    if (big) (void)co_await exchange.end_stream();
  }
  static asio::awaitable<void> broken(http::Exchange& exchange) {
    (void)co_await exchange.begin_stream(200, "text/plain");
    (void)co_await exchange.write_chunk("half");
  }
  static asio::awaitable<void> throws(http::Exchange&) {
    throw std::runtime_error("out of cheese");
    co_return;
  }
  static asio::awaitable<void> silent(http::Exchange&) { co_return; }
  static asio::awaitable<void> take(http::Exchange& exchange) {
    auto taken = exchange.take_connection();
    (void)co_await test::write_all(taken.stream, "taken:" + taken.buffered);
    taken.stream.shutdown_send();
  }

  Stream client() {
    auto [ours, theirs] = loop.pair();
    server.serve(std::move(theirs));
    return std::move(ours);
  }
  /// Everything the server says to `bytes` until it closes.
  std::string raw(const std::string& bytes) {
    Stream stream = client();
    loop.run(test::write_all(stream, bytes));
    return loop.run(test::read_all(stream));
  }
  Result<http::Response> fetch(Stream& stream, const http::Request& request) {
    return loop.run(http::fetch(stream, request));
  }

  Loop loop;
  http::Router router;
  http::Server server;
};

/// A transport that tells when it is closed.
class CloseWatch final : public Transport {
 public:
  CloseWatch(Stream inner, bool& closed) : inner_(std::move(inner)), closed_(closed) {}
  ~CloseWatch() override { closed_ = true; }
  asio::any_io_executor executor() override { return inner_.get_executor(); }
  void read_some(asio::mutable_buffer into, Callback done) override {
    inner_.transport().read_some(into, std::move(done));
  }
  void write_some(asio::const_buffer from, Callback done) override {
    inner_.transport().write_some(from, std::move(done));
  }
  void shutdown_send() override { inner_.shutdown_send(); }
  void close() override {
    closed_ = true;
    inner_.close();
  }

 private:
  Stream inner_;
  bool& closed_;
};

std::size_t occurrences(const std::string& text, const std::string& of) {
  std::size_t count = 0;
  for (auto at = text.find(of); at != std::string::npos; at = text.find(of, at + of.size())) ++count;
  return count;
}

}  // namespace

TEST_CASE("a request is answered by its handler, and the connection serves the next one") {
  World world;
  Stream stream = world.client();
  for (const char* name : {"ann", "bob"}) {
    auto answer = world.fetch(stream, {"GET", std::string("/hello/") + name + "?greeting=good%20day"});
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body == std::string("good day ") + name);
    CHECK(answer->content_type == "text/plain");
  }
}

TEST_CASE("a header's value cannot start another header") {
  World world;
  Stream stream = world.client();
  auto answer = world.fetch(stream, {"GET", "/hello/x"});
  REQUIRE(answer);
  for (const auto& [name, value] : answer->headers) CHECK(name != "X-Evil");
}

TEST_CASE("pipelined requests are answered in order, bodies and all") {
  World world;
  const std::string answers = world.raw(
      "GET /hello/a HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
      "POST /ignore HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nGET "
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
      "GET /hello/z HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(occurrences(answers, "HTTP/1.1 ") == 5);
  std::size_t at = 0;
  for (const char* expected : {"hello a", "abc", "204 No Content", "def", "Connection: close", "hello z"}) {
    CAPTURE(expected);
    CAPTURE(answers);
    const auto found = answers.find(expected, at);
    REQUIRE(found != std::string::npos);
    at = found;
  }
}

TEST_CASE("a request may come a byte at a time") {
  World world;
  Stream stream = world.client();
  const std::string request =
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (char c : request) {
    world.loop.run(test::write_all(stream, std::string(1, c)));
    world.loop.run_for(1ms);
  }
  CHECK(world.loop.run(test::read_all(stream)).ends_with("\r\n\r\nabc"));
}

TEST_CASE("what is not HTTP is answered with 400, then the connection ends") {
  World world;
  for (const std::string& malformed :
       {std::string("hello\r\n\r\n"), std::string("GET / HTTP/9.9\r\n\r\n"), std::string("GET  HTTP/1.1\r\n\r\n"),
        std::string("GET / HTTP/1.1\r\nno colon\r\n\r\n"), std::string("\0\1\2\3\r\n\r\n", 8),
        std::string("\x16\x03\x01\x02\x00\x01\x00", 7) + "\r\n",
        std::string("POST /echo HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        std::string("POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("POST /echo HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")}) {
    CAPTURE(malformed);
    const std::string answer = world.raw(malformed + "GET /hello/smuggled HTTP/1.1\r\n\r\n");
    CHECK(answer.starts_with("HTTP/1.1 400 "));
    CHECK(occurrences(answer, "HTTP/1.1 ") == 1);
    CHECK(answer.find("Connection: close") != std::string::npos);
  }
  const std::string bad_chunk = world.raw("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
  CHECK(bad_chunk.starts_with("HTTP/1.1 400 "));
}

TEST_CASE("a head over 64 KiB is refused") {
  World world;
  CHECK(world.raw("GET /hello/x HTTP/1.1\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n").starts_with("HTTP/1.1 431 "));
  CHECK(world.raw("GET /hello/x HTTP/1.1\r\nConnection: close\r\nX: " + std::string(7'000, 'x') + "\r\n\r\n")
            .starts_with("HTTP/1.1 200 "));
}

TEST_CASE("an unknown path is 404 in the API's error shape, a wrong method 405") {
  World world;
  Stream stream = world.client();
  auto unknown = world.fetch(stream, {"GET", "/nowhere"});
  REQUIRE(unknown);
  CHECK(unknown->status == 404);
  CHECK(unknown->content_type == "application/json");
  CHECK(http::error_from(*unknown).kind == Error::Kind::not_found);
  CHECK(http::error_from(*unknown).what == "nothing is at '/nowhere'");
  auto wrong = world.fetch(stream, {"DELETE", "/echo"});
  REQUIRE(wrong);
  CHECK(wrong->status == 405);
  const std::pair<std::string, std::string> allow{"Allow", "POST"};
  CHECK(std::ranges::find(wrong->headers, allow) != wrong->headers.end());
}

TEST_CASE("HEAD is answered without a body and the connection goes on") {
  World world;
  Stream stream = world.client();
  for (const char* target : {"/hello/x", "/count"}) {
    auto answer = world.fetch(stream, {"HEAD", target});
    REQUIRE(answer);
    CHECK(answer->status == 200);
    CHECK(answer->body.empty());
    if (std::string(target) == "/count") break;
    auto next = world.fetch(stream, {"GET", "/hello/x"});
    REQUIRE(next);
    CHECK(next->body == "hello x");
  }
}

TEST_CASE("the answer to HEAD ends with its head") {
  World world;
  const std::string answer = world.raw("HEAD /hello/x HTTP/1.1\r\nConnection: close\r\n\r\n");
  CHECK(answer.find("Content-Length: 7\r\n") != std::string::npos);
  CHECK(answer.ends_with("\r\n\r\n"));
}

TEST_CASE("the last answer is not destroyed on its way: the server closes after the client") {
  World world;
  for (const char* last : {"GET /hello/x HTTP/1.1\r\nConnection: close\r\n\r\n", "nonsense\r\n\r\n"}) {
    auto [client, theirs] = world.loop.pair();
    bool closed = false;
    world.server.serve(Stream(std::make_unique<CloseWatch>(std::move(theirs), closed)));
    world.loop.run(test::write_all(client, last));
    CHECK_FALSE(world.loop.run(test::read_all(client)).empty());
    world.loop.run_for(50ms);
    CHECK_FALSE(closed);
    client.close();
    world.loop.run_for(50ms);
    CHECK(closed);
  }
}

TEST_CASE("HTTP/1.0 gets one answer and the end of the connection") {
  World world;
  const std::string whole = world.raw("GET /hello/x HTTP/1.0\r\n\r\n");
  CHECK(whole.ends_with("hello x"));
  const std::string streamed = world.raw("GET /count HTTP/1.0\r\n\r\n");
  CHECK(streamed.find("chunked") == std::string::npos);
  CHECK(streamed.find("\r\n\r\nonetwothreexxx") != std::string::npos);
}

TEST_CASE("a client that expects 100 Continue gets it once the handler reads") {
  World world;
  Stream stream = world.client();
  world.loop.run(test::write_all(
      stream, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"));
  CHECK(world.loop.run(test::read_until(stream, "\r\n\r\n")) == "HTTP/1.1 100 Continue\r\n\r\n");
  world.loop.run(test::write_all(stream, "abc"));
  CHECK(world.loop.run(test::read_all(stream)).ends_with("abc"));

  const std::string refused = world.raw("POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3000\r\n\r\n");
  CHECK(refused.starts_with("HTTP/1.1 413 "));
  const std::string unread = world.raw("POST /ignore HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  CHECK(unread.starts_with("HTTP/1.1 204 "));
}

TEST_CASE("a body over the handler's limit is 413, and the answer reaches a client that is still sending") {
  World world;
  Stream stream = world.client();
  auto declared = world.fetch(stream, {"POST", "/echo", std::string(8'000'000, 'x')});
  REQUIRE(declared);
  CHECK(declared->status == 413);
  CHECK(http::error_from(*declared).what == "the body is larger than 1000 B");
  const std::string chunked = world.raw("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" +
                                        std::string(4096, 'x') + "\r\n0\r\n\r\n");
  CHECK(chunked.starts_with("HTTP/1.1 413 "));
}

TEST_CASE("a slow head is given up, an idle connection is closed") {
  World world({}, {50ms, 200ms});
  Stream slow = world.client();
  world.loop.run(test::write_all(slow, "GET / HT"));
  const auto start = std::chrono::steady_clock::now();
  CHECK(world.loop.run(test::read_all(slow)).empty());
  CHECK(std::chrono::steady_clock::now() - start < 150ms);
  Stream idle = world.client();
  CHECK(world.loop.run(test::read_all(idle)).empty());
}

TEST_CASE("a handler that throws or forgets to answer is answered for") {
  World world;
  Stream stream = world.client();
  for (const char* target : {"/throws", "/silent"}) {
    auto answer = world.fetch(stream, {"GET", target});
    REQUIRE(answer);
    CHECK(answer->status == 500);
    CHECK(http::error_from(*answer).kind == Error::Kind::internal);
  }
}

TEST_CASE("a guard's answer ends the request before the handler") {
  World world([](const http::RequestHead& head) -> std::optional<http::Response> {
    if (head["Authorization"] == "Bearer right") return std::nullopt;
    return http::Response{401, "text/plain", "who are you"};
  });
  Stream stream = world.client();
  CHECK(world.fetch(stream, {"GET", "/hello/x"})->status == 401);
  CHECK(world.fetch(stream, {"GET", "/hello/x", "", "", {{"Authorization", "Bearer right"}}})->status == 200);
}

TEST_CASE("each written chunk arrives as one part, and a broken stream is an error") {
  World world;
  Stream stream = world.client();
  std::vector<std::string> parts;
  auto collect = [&](std::string_view part) { parts.emplace_back(part); };
  const http::Request request{"GET", "/count"};
  auto answer = world.loop.run(http::fetch_streaming(stream, request, collect));
  REQUIRE(answer);
  CHECK(parts == std::vector<std::string>{"one", "two", "three", std::string(300'000, 'x')});

  auto half = world.fetch(stream, {"GET", "/broken"});
  REQUIRE_FALSE(half);
  CHECK(half.error().kind == Error::Kind::unavailable);
}

TEST_CASE("a taken connection comes with what was read already") {
  World world;
  CHECK(world.raw("POST /taken/x HTTP/1.1\r\nContent-Length: 5\r\n\r\nbytes") == "taken:bytes");
}

TEST_CASE("stopping the server ends every connection") {
  World world;
  Stream idle = world.client();
  Stream busy = world.client();
  world.loop.run(test::write_all(busy, "GET / HTTP/1.1\r\n"));
  world.loop.run_for(10ms);
  world.server.stop();
  CHECK(world.loop.run(test::read_all(idle)).empty());
  CHECK(world.loop.run(test::read_all(busy)).empty());
}

TEST_CASE("an error survives the way over the wire") {
  const Error error{Error::Kind::no_space, "cannot make it", "free some space", {"the disk is full", "really"}};
  const Error back = http::error_from(http::error_response(error));
  CHECK(back.kind == error.kind);
  CHECK(back.what == error.what);
  CHECK(back.hint == error.hint);
  CHECK(back.because == error.because);
  CHECK(http::error_from({502, "text/plain", "bad gateway"}).what == "bad gateway");
  CHECK(http::error_from({502, "text/plain", ""}).kind == Error::Kind::unavailable);
}
