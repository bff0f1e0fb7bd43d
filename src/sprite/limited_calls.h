#pragma once
/// LimitedCalls: calls that may hang (of libvirt, when its daemon or a QEMU does) on threads of their own, each awaited
/// for so long and no longer. A pool would be used up by a few that hang.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>

#include "base/result.h"
#include "base/text.h"

namespace sprite {

class LimitedCalls {
 public:
  LimitedCalls() = default;
  LimitedCalls(const LimitedCalls&) = delete;
  ~LimitedCalls() { join(); }

  /// The result of `work()`. After `limit` it is unavailable; the work goes on by itself and what it gives is dropped,
  /// so it must use only what outlives this object. Name the lambda before the co_await (on_pool.h says why).
  template <class Work>
  boost::asio::awaitable<std::invoke_result_t<Work&>> call(std::string doing, std::chrono::milliseconds limit,
                                                           Work& work) {
    using Outcome = std::invoke_result_t<Work&>;
    struct Call {
      Call(boost::asio::any_io_executor executor, std::chrono::milliseconds limit, Work&& its_work)
          : returned(std::move(executor), limit), work(std::move(its_work)) {}
      boost::asio::steady_timer returned;  ///< Cancelled when it has.
      std::optional<Outcome> outcome;
      Work work;
    };
    const auto executor = co_await boost::asio::this_coro::executor;
    auto call = std::make_shared<Call>(executor, limit, std::move(work));
    auto run = [this, call, executor]() mutable {
      auto outcome = std::make_shared<Outcome>(guarded(call->work));
      boost::asio::post(executor, [call, outcome] {
        call->outcome = std::move(*outcome);
        call->returned.cancel();
      });
      call.reset();
      end();
    };
    if (!begin(std::move(run))) co_return Error{Error::Kind::unavailable, doing + ": there are too many threads"};
    boost::system::error_code cancelled;
    co_await call->returned.async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, cancelled));
    if (call->outcome) co_return std::move(*call->outcome);
    co_return Error{Error::Kind::unavailable, doing + " takes more than " + format_duration(limit),
                    "run `sprite daemon restart` if it goes on like this: sprites that run stay unharmed"};
  }

  /// Waits for the calls that have not returned.
  void join() {
    while (!join_for(std::chrono::hours(1))) {
    }
  }
  /// The same, for so long: whether all have returned.
  bool join_for(std::chrono::milliseconds time) {
    std::unique_lock hold(mutex_);
    return changed_.wait_for(hold, time, [this] { return under_way_ == 0; });
  }

 private:
  template <class Work>
  static std::invoke_result_t<Work&> guarded(Work& work) {
    try {
      return work();
    } catch (const std::exception& thrown) {
      return Error{Error::Kind::internal, "an unexpected failure", "", {thrown.what()}};
    }
  }
  template <class Run>
  bool begin(Run run) {
    {
      const std::lock_guard hold(mutex_);
      ++under_way_;
    }
    try {
      std::thread(std::move(run)).detach();
      return true;
    } catch (const std::system_error&) {
      end();
      return false;
    }
  }
  void end() {
    const std::lock_guard hold(mutex_);
    --under_way_;
    changed_.notify_all();  // under the lock: who waits for it may destroy us
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int under_way_ = 0;
};

}  // namespace sprite
