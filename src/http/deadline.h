#pragma once
/// Deadline: closes a stream when time is up, so that whatever is reading from it fails.
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>

#include "base/stream.h"

namespace sprite::http {

constexpr auto no_limit = std::chrono::milliseconds::max();

/// Closes `stream` after `limit` (no_limit: never) unless destroyed before. The stream must outlive it.
class Deadline {
 public:
  Deadline(Stream& stream, std::chrono::milliseconds limit) : timer_(stream.get_executor()) {
    if (limit == no_limit) return;
    timer_.expires_after(limit);
    // The state is shared: a timer that has fired already calls its handler even after it was destroyed.
    timer_.async_wait([state = state_, &stream](boost::system::error_code stopped) {
      if (stopped || *state != State::armed) return;
      *state = State::passed;
      stream.close();
    });
  }
  ~Deadline() { *state_ = State::gone; }
  Deadline(Deadline&&) = delete;

  bool passed() const { return *state_ == State::passed; }

 private:
  enum class State { armed, passed, gone };
  std::shared_ptr<State> state_ = std::make_shared<State>(State::armed);
  asio::steady_timer timer_;
};

}  // namespace sprite::http
