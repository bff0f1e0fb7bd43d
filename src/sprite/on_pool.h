#pragma once
/// Runs what blocks (libvirt, SQLite, files) on a pool and comes back to the coroutine's own executor.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>
#include <utility>

namespace sprite {

/// The result of `work()`, called on a thread of `pool`.
template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work>> on_pool(boost::asio::thread_pool& pool, Work work) {
  using Outcome = std::invoke_result_t<Work>;
  auto blocking = [](Work run) -> boost::asio::awaitable<Outcome> { co_return run(); };
  co_return co_await boost::asio::co_spawn(pool, blocking(std::move(work)), boost::asio::use_awaitable);
}

}  // namespace sprite
