#pragma once
/// Turns: a first-come-first-served lock for coroutines of one executor, for one or several at once.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sprite {

/// Lets so many coroutines at a time have their turn, one unless said otherwise. All use is on one executor, so no
/// atomic state is needed.
class Turns {
  using Line = std::deque<std::shared_ptr<boost::asio::steady_timer>>;  // timers that never fire, cancelled to wake
  struct State {
    int free = 1;
    std::string what;    // of who had a turn last
    Line waiting;        // for a turn
    Line until_is_free;  // for nobody to wait for one
  };

 public:
  explicit Turns(int at_once = 1) { state_->free = at_once; }

  /// The turn; given back when destroyed.
  class Turn {
   public:
    explicit Turn(std::shared_ptr<State> state) : state_(std::move(state)) {}
    Turn(Turn&&) noexcept = default;
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (!state_) return;
      state_->what.clear();
      if (state_->waiting.empty()) {
        ++state_->free;
        for (const auto& each : std::exchange(state_->until_is_free, {})) each->cancel();
        return;
      }
      state_->waiting.front()->cancel();  // the turn passes on; `free` stays as it is
      state_->waiting.pop_front();
    }

   private:
    std::shared_ptr<State> state_;
  };

  /// Waits for those that came before. `what` is shown to those that come while it lasts.
  boost::asio::awaitable<Turn> take(std::string what = "") {
    const std::shared_ptr<State> state = state_;
    if (state->free > 0) {
      --state->free;
    } else {
      co_await wait_in(state, &State::waiting);
    }
    state->what = std::move(what);
    co_return Turn(state);
  }

  /// What a take() now would wait for, as who has the turn called it; nothing if it would not wait.
  std::optional<std::string> under_way() const {
    if (state_->free > 0) return std::nullopt;
    return state_->what;
  }

  /// Waits until a take() would not have to wait, after those that wait already and those that come meanwhile.
  boost::asio::awaitable<void> until_one_is_free() {
    const std::shared_ptr<State> state = state_;
    while (state->free == 0) co_await wait_in(state, &State::until_is_free);
  }

  /// The turn, if nobody has it or waits for it.
  std::optional<Turn> try_take() {
    if (state_->free == 0) return std::nullopt;
    --state_->free;
    return Turn(state_);
  }

 private:
  static boost::asio::awaitable<void> wait_in(std::shared_ptr<State> state, Line State::*line) {
    auto timer = std::make_shared<boost::asio::steady_timer>(co_await boost::asio::this_coro::executor,
                                                             boost::asio::steady_timer::time_point::max());
    ((*state).*line).push_back(timer);
    boost::system::error_code cancelled;
    co_await timer->async_wait(boost::asio::redirect_error(boost::asio::use_awaitable, cancelled));
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace sprite
