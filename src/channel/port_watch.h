#pragma once
/// PortWatch: waits until something changes at a descriptor whose other side is absent.
///
/// A virtio port without a host reports "hang-up" and "readable" all the time, and asio's waits report a state, not a
/// change: waiting with them would spin. An epoll instance of our own, edge-triggered, reports each change once.
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>

#include "base/fd.h"

namespace sprite::channel {

class PortWatch {
 public:
  /// Watches `port`, which must stay open. Errors: unavailable.
  static Result<PortWatch> open(boost::asio::any_io_executor executor, int port);

  /// What has changed until now is of no interest. Look at the port after this, then wait.
  void forget();
  /// Calls `changed` once, after the next change; not at all if destroyed or cancelled before.
  void wait(std::function<void()> changed);

 private:
  PortWatch(boost::asio::any_io_executor executor, Fd epoll);

  boost::asio::posix::stream_descriptor epoll_;
};

}  // namespace sprite::channel
