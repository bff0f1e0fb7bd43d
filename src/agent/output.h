#pragma once
/// What a session tells its clients, the queue to one client, and what is kept for those who come later.
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "agent/event.h"

namespace sprite::agent {

struct Output {
  enum class Kind {
    terminal,  ///< Bytes of the terminal.
    out,       ///< Bytes of standard output.
    err,       ///< Bytes of standard error.
    notice,    ///< A JSON text for clients that take such.
    exit,      ///< The last one: `status`.
  };
  Kind kind = Kind::out;
  std::string bytes{};
  int status = 0;
};
using SharedOutput = std::shared_ptr<const Output>;

/// The bounded queue from a session to one of its clients. The session stops reading its program while has_room() is
/// false.
class Attachment {
 public:
  /// `taken` is called whenever room was made or the client left.
  Attachment(asio::any_io_executor executor, std::function<void()> taken);

  // The session's side.
  void push(SharedOutput output);
  bool has_room() const { return bytes_ < bytes_max; }
  std::chrono::steady_clock::time_point last_taken() const { return last_taken_; }

  // The client's side.
  /// The next output; nothing when `silence` has passed without one, or after close().
  asio::awaitable<SharedOutput> next(std::chrono::milliseconds silence);
  /// Appends to `bytes` what is queued of the same kind, up to `limit` bytes in all, without waiting.
  void gather(std::string& bytes, Output::Kind kind, std::size_t limit);
  /// The client is gone.
  void close();
  bool closed() const { return closed_; }

 private:
  static constexpr std::size_t bytes_max = 256 * 1024;
  SharedOutput take();

  asio::steady_timer arrived_;
  std::function<void()> taken_;
  std::deque<SharedOutput> queue_;
  std::size_t bytes_ = 0;
  bool closed_ = false;
  std::chrono::steady_clock::time_point last_taken_ = std::chrono::steady_clock::now();
};

/// The latest output of a session, at most about 256 KiB, for clients that attach.
class Scrollback {
 public:
  void add(SharedOutput output);
  const std::deque<SharedOutput>& kept() const { return kept_; }

 private:
  static constexpr std::size_t bytes_max = 256 * 1024;
  std::deque<SharedOutput> kept_;
  std::size_t bytes_ = 0;
};

}  // namespace sprite::agent
