#pragma once
/// Event: coroutines of one thread wait for a change and then look again whether it is the one they need.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

namespace sprite::agent {

namespace asio = boost::asio;

/// Waiters check their condition before each wait, so a notification that nobody awaits is not lost, only unneeded.
/// Not to be destroyed while somebody waits.
class Event {
 public:
  explicit Event(asio::any_io_executor executor) : timer_(std::move(executor), asio::steady_timer::time_point::max()) {}

  void notify_all() { timer_.cancel(); }
  asio::awaitable<void> wait() { (void)co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable)); }

 private:
  asio::steady_timer timer_;
};

/// Waits for `duration`.
inline asio::awaitable<void> pause_for(asio::any_io_executor executor, std::chrono::milliseconds duration) {
  asio::steady_timer timer(executor, duration);
  (void)co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
}

}  // namespace sprite::agent
