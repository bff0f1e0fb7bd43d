#pragma once
/// Input: the bounded queue from a session's clients to its program.
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <memory>
#include <string>

#include "agent/event.h"
#include "base/fd.h"

namespace sprite::agent {

/// Writes to the program only as fast as it reads; whoever pushes waits while more than 256 KiB are queued.
class Input : public std::enable_shared_from_this<Input> {
 public:
  /// `fd` is made non-blocking: it must not share its file description with the program.
  Input(asio::any_io_executor executor, Fd fd);
  /// Begins to write. Call once.
  void run();

  /// Queues bytes once there is room; drops them when nobody reads them any more.
  asio::awaitable<void> push(std::string bytes);
  /// End of input, after what is queued.
  void finish();
  /// Nobody reads it any more; whoever waits goes on.
  void close();

 private:
  asio::awaitable<void> write_queued();
  asio::awaitable<bool> write_whole(const std::string& bytes);

  asio::posix::stream_descriptor descriptor_;
  Event changed_;
  std::deque<std::string> queue_;
  std::size_t bytes_ = 0;
  bool finished_ = false, closed_ = false;
};

}  // namespace sprite::agent
