#pragma once
/// Deadline: closes a stream when time is up, so that whatever is reading from it fails.
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>

#include "base/stream.h"

namespace sprite::http {

/// Closes `stream` after `limit` unless destroyed before. The stream must outlive it.
class Deadline {
 public:
  Deadline(Stream& stream, std::chrono::milliseconds limit) : timer_(stream.get_executor(), limit) {
    // The flag: a timer that has fired already calls its handler even after it was destroyed.
    timer_.async_wait([armed = armed_, &stream](boost::system::error_code stopped) {
      if (!stopped && *armed) stream.close();
    });
  }
  ~Deadline() { *armed_ = false; }
  Deadline(Deadline&&) = delete;

 private:
  std::shared_ptr<bool> armed_ = std::make_shared<bool>(true);
  asio::steady_timer timer_;
};

}  // namespace sprite::http
