#pragma once
/// Runs what blocks (libvirt, SQLite, files) on a pool and comes back to the coroutine's own executor.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/result.h"

namespace sprite {

namespace detail {

/// What libraries throw (no memory, a file system's surprises) becomes an Error here, so that clean-up runs as for any
/// other.
template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> run_now(std::shared_ptr<Work> work) {
  try {
    co_return (*work)();
  } catch (const std::exception& thrown) {
    co_return Error{Error::Kind::internal, "an unexpected failure", "", {thrown.what()}};
  }
}

}  // namespace detail

/// The result of `work()`, called on a thread of `pool`. Name the lambda before the co_await: GCC 12 destroys the
/// captures of a temporary one twice (and so it is kept behind a pointer here).
template <class Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> on_pool(boost::asio::thread_pool& pool, Work& work) {
  auto shared = std::make_shared<Work>(std::move(work));
  return boost::asio::co_spawn(pool, detail::run_now(std::move(shared)), boost::asio::use_awaitable);
}

}  // namespace sprite
