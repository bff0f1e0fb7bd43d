#pragma once
/// The turn of a start goes on with the first use of what was started.
///
/// The first program in a machine that was just loaded costs about as much as its start, above all in emulation, where
/// its code is translated only then. If the next start came before it, then in a crowd the first programs of all would
/// compete with each other and with all starts, and everybody would be served last. So whoever waits for the machine
/// keeps the turn until its connection ends. A program may run for ever, though, and nobody can trust a guest to hurry:
/// the turn passes on by itself after as long again as the start took, and after a second in any case.
#include <algorithm>
#include <chrono>

#include "sprite/turns.h"

namespace sprite {

/// How long the first use of a machine may keep the turn of its start.
constexpr std::chrono::steady_clock::duration limit_of_first_use(std::chrono::steady_clock::duration start_took) {
  return std::min<std::chrono::steady_clock::duration>(start_took, std::chrono::seconds(1));
}

/// A turn that passes on when this is destroyed, or when `limit` is over.
class LimitedTurn {
  struct State {
    std::optional<Turns::Turn> turn;
    boost::asio::steady_timer timer;
  };

 public:
  LimitedTurn(boost::asio::any_io_executor executor, Turns::Turn turn, std::chrono::steady_clock::duration limit)
      : state_(std::make_shared<State>(std::move(turn), boost::asio::steady_timer(std::move(executor), limit))) {
    state_->timer.async_wait([weak = std::weak_ptr(state_)](boost::system::error_code) {
      if (const auto state = weak.lock()) state->turn.reset();
    });
  }

 private:
  std::shared_ptr<State> state_;
};

}  // namespace sprite
