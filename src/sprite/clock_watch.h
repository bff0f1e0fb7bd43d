#pragma once
/// Notices that the host's clock was set, or jumped since the host was suspended: what guests have been told is wrong
/// then. The kernel tells it; nothing polls.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <memory>

#include "base/fd.h"

namespace sprite {

class ClockWatch {
 public:
  /// The time of day less the time that the host ran (suspension left out): it is constant until the clock jumps.
  using Offset = std::chrono::nanoseconds;
  using ReadOffset = std::function<Offset()>;

  /// `jumped` is called on the executor with how far, whenever `timer` becomes readable and the offset is another.
  ClockWatch(const boost::asio::any_io_executor& executor, Fd timer, ReadOffset offset,
             std::function<void(Offset)> jumped);
  ClockWatch(const ClockWatch&) = delete;
  ~ClockWatch();

  /// A timer that never goes off, but is cancelled when the clock is set or the host wakes. Errors: as system_error.
  static Result<Fd> host_timer();
  static Offset host_offset();

 private:
  struct Watched;
  static void wait(const std::shared_ptr<Watched>& watched);
  std::shared_ptr<Watched> watched_;
};

}  // namespace sprite
