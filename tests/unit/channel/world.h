#pragma once
/// Two Links over a socketpair, and what tests do with streams.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <random>

#include "channel/link.h"

namespace sprite::test {

using namespace std::chrono_literals;
using channel::Link;
using channel::Role;
namespace asio = boost::asio;
constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

struct SocketPair {
  Fd first, second;
};
inline SocketPair make_socket_pair() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

/// `count` bytes that only `seed` decides.
inline Bytes make_content(std::size_t count, unsigned seed) {
  Bytes bytes(count);
  std::minstd_rand random(seed + 1);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random() >> 8);
  return bytes;
}

/// One end, and what happened to it.
struct End {
  End(asio::io_context& io, Fd transport, Role role, Link::Options options = {}) {
    link.emplace(
        io.get_executor(), std::move(transport), role, options,
        [this](Stream stream) {
          if (on_stream)
            on_stream(std::move(stream));
          else
            accepted.push_back(std::move(stream));
        },
        [this](Error why) { closed = std::move(why); });
  }

  std::function<void(Stream)> on_stream;
  std::deque<Stream> accepted;
  std::optional<Error> closed;
  std::optional<Link> link;
};

/// Runs `io` until `done` or the time is up; says whether it was done.
template <class Done>
bool run_until(asio::io_context& io, Done done, std::chrono::milliseconds limit = 20s) {
  const auto end = std::chrono::steady_clock::now() + limit;
  io.restart();
  while (!done() && std::chrono::steady_clock::now() < end) io.run_one_for(20ms);
  return done();
}

/// Runs a coroutine to its end.
template <class T>
T run(asio::io_context& io, asio::awaitable<T> work, std::chrono::milliseconds limit = 60s) {
  std::optional<T> result;
  asio::co_spawn(io, std::move(work), [&](std::exception_ptr failed, T value) {
    if (failed) std::rethrow_exception(failed);
    result = std::move(value);
  });
  REQUIRE(run_until(
      io, [&] { return result.has_value(); }, limit));
  return std::move(*result);
}

inline asio::awaitable<bool> write_all(Stream& stream, ByteView bytes) {
  auto [failed, count] = co_await asio::async_write(stream, asio::buffer(bytes.data(), bytes.size()), as_result);
  co_return !failed;
}
inline asio::awaitable<Bytes> read_count(Stream& stream, std::size_t count) {
  Bytes bytes(count);
  auto [failed, got] = co_await asio::async_read(stream, asio::buffer(bytes), as_result);
  bytes.resize(got);
  co_return bytes;
}

struct ReadToEnd {
  Bytes bytes;
  boost::system::error_code ended;
};
inline asio::awaitable<ReadToEnd> read_to_end(Stream& stream, std::size_t piece = 64 * KiB) {
  ReadToEnd result;
  Bytes buffer(piece);
  while (true) {
    auto [failed, got] = co_await stream.async_read_some(asio::buffer(buffer), as_result);
    result.bytes.insert(result.bytes.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
    if (failed) {
      result.ended = failed;
      co_return result;
    }
  }
}

/// A host and a guest that know each other.
struct World {
  explicit World(Link::Options host_options = {}, Link::Options guest_options = {})
      : pair(make_socket_pair()),
        host_fd(pair.first.get()),
        host(io, std::move(pair.first), Role::host, host_options),
        guest(io, std::move(pair.second), Role::guest, guest_options) {
    const auto greeted = run(io, host.link->ready(5s));
    REQUIRE(greeted);
  }

  /// A stream from host to guest and its other end.
  std::pair<Stream, Stream> connect() {
    auto opened = host.link->open();
    REQUIRE(opened);
    REQUIRE(run_until(io, [&] { return !guest.accepted.empty(); }));
    auto other = std::move(guest.accepted.front());
    guest.accepted.pop_front();
    return {std::move(*opened), std::move(other)};
  }

  asio::io_context io;
  SocketPair pair;
  int host_fd;
  End host, guest;
};

}  // namespace sprite::test
