#pragma once
/// A WebSocket connection, either end. Pings are answered inside read().
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sprite::http {

namespace asio = boost::asio;

struct Message {
  bool text = false;  ///< Text frame; else binary.
  std::string bytes;
};

/// One reader and any number of writers at once: writes are queued and sent in order.
class WebSocket {
 public:
  virtual ~WebSocket() = default;
  /// The next message (at most 16 MiB), or nothing when the peer has closed. Errors: unavailable (connection lost).
  virtual asio::awaitable<Result<std::optional<Message>>> read() = 0;
  /// Completes when the message has been handed to the transport. Errors: unavailable.
  virtual asio::awaitable<Result<>> send_text(std::string text) = 0;
  virtual asio::awaitable<Result<>> send_binary(std::string bytes) = 0;
  /// Sends a close frame with `code` and ends the connection. Safe to repeat.
  virtual asio::awaitable<void> close(unsigned short code) = 0;
  /// After read() returned nothing: the peer's close code (1005 when it gave none).
  virtual unsigned short close_code() const = 0;
};

}  // namespace sprite::http
