// relay(): bytes between two streams. One pump a direction; each owns its buffer. A direction that fails closes both
// streams, a direction that ends passes the half-close on.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "http/server.h"

namespace sprite::http {
namespace {

/// More than any chunk of an exec over POST: the SDK takes what one read brings it for one frame. What a read never
/// filled takes no memory.
constexpr std::size_t buffer_bytes = 128 * KiB;
/// How long `a` may go on sending after `b` has ended: an answered client has nothing more to say, and one that keeps
/// its end open would hold the connection for ever.
constexpr std::chrono::seconds after_the_answer{30};

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

struct Pair {
  Pair(Stream one, Stream other) : a(std::move(one)), b(std::move(other)), ended(a.get_executor()) {}
  void close() {
    a.close();
    b.close();
  }
  Stream a, b;
  asio::steady_timer ended;  ///< Cancelled when the second direction has ended.
  bool answer_ended = false;
};

/// Copies until the end or a failure of either stream. False: failed.
asio::awaitable<bool> pump(Stream& from, Stream& to) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(buffer_bytes);
  for (;;) {
    auto [end, count] = co_await from.async_read_some(asio::buffer(buffer.get(), buffer_bytes), as_result);
    if (end) co_return end == asio::error::eof;
    auto [failed, written] = co_await asio::async_write(to, asio::buffer(buffer.get(), count), as_result);
    if (failed) co_return false;
  }
}

asio::awaitable<void> pump_answer(std::shared_ptr<Pair> pair) {
  if (co_await pump(pair->b, pair->a)) {
    pair->a.shutdown_send();
  } else {
    pair->close();
  }
  pair->answer_ended = true;
  pair->ended.expires_after(after_the_answer);
  pair->ended.async_wait([pair](boost::system::error_code stopped) {
    if (!stopped) pair->close();
  });
}

}  // namespace

asio::awaitable<void> relay(Stream a, Stream b, std::string first_for_b) {
  const auto pair = std::make_shared<Pair>(std::move(a), std::move(b));
  pair->ended.expires_at(asio::steady_timer::time_point::max());
  asio::co_spawn(pair->a.get_executor(), pump_answer(pair), asio::detached);
  auto [failed, count] = co_await asio::async_write(pair->b, asio::buffer(first_for_b), as_result);
  bool good = !failed;
  if (good) good = co_await pump(pair->a, pair->b);
  if (good) {
    pair->b.shutdown_send();
  } else {
    pair->close();
  }
  if (!pair->answer_ended) {
    co_await pair->ended.async_wait(as_result);  // pump_answer moves the expiry, which wakes us
  }
  pair->ended.cancel();
}

}  // namespace sprite::http
