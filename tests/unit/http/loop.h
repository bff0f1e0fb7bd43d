#pragma once
/// What the tests of streams share: an event loop that runs one coroutine to its end, and pairs of connected streams.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>
#include <utility>

#include "http/server.h"

namespace sprite::test {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

class Loop {
 public:
  asio::any_io_executor executor() { return context_.get_executor(); }

  /// Runs `task` to its end, and everything else that goes on meanwhile. Fails the test after 30 s.
  template <class T>
  T run(asio::awaitable<T> task) {
    std::optional<T> result;
    bool done = false;
    asio::co_spawn(context_, std::move(task), [&](std::exception_ptr thrown, T value) {
      done = true;
      if (!thrown) result = std::move(value);
    });
    run_until(done);
    REQUIRE(result.has_value());
    return std::move(*result);
  }
  void run(asio::awaitable<void> task) {
    bool done = false;
    asio::co_spawn(context_, std::move(task), [&](std::exception_ptr thrown) {
      done = true;
      CHECK_FALSE(static_cast<bool>(thrown));
    });
    run_until(done);
  }
  template <class Duration>
  void run_for(Duration duration) {
    context_.restart();
    context_.run_for(duration);
  }

  std::pair<Stream, Stream> pair() {
    auto [one, other] = raw_pair();
    return {http::make_stream(executor(), std::move(one)), http::make_stream(executor(), std::move(other))};
  }
  static std::pair<Fd, Fd> raw_pair() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    return {Fd(fds[0]), Fd(fds[1])};
  }

 private:
  void run_until(const bool& done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!done && std::chrono::steady_clock::now() < limit) {
      context_.restart();
      context_.run_one_for(std::chrono::milliseconds(100));
    }
    REQUIRE(done);
  }

  asio::io_context context_;
};

/// Everything until the peer's end-of-stream.
inline asio::awaitable<std::string> read_all(Stream& stream) {
  std::string all;
  std::string part(65536, '\0');
  for (;;) {
    auto [ended, count] = co_await stream.async_read_some(asio::buffer(part), as_result);
    if (ended) co_return all;
    all.append(part, 0, count);
  }
}
/// Everything until `text` has appeared or the stream has ended.
inline asio::awaitable<std::string> read_until(Stream& stream, std::string text) {
  std::string all;
  char next = 0;
  while (all.find(text) == std::string::npos) {
    auto [ended, count] = co_await stream.async_read_some(asio::buffer(&next, 1), as_result);
    if (ended) break;
    all += next;
  }
  co_return all;
}
inline asio::awaitable<bool> write_all(Stream& stream, std::string bytes) {
  auto [failed, count] = co_await asio::async_write(stream, asio::buffer(bytes), as_result);
  co_return !failed;
}
inline asio::awaitable<void> sleep(std::chrono::milliseconds duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  (void)co_await timer.async_wait(as_result);
}

}  // namespace sprite::test
