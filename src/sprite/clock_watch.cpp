#include "sprite/clock_watch.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <limits>

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr auto unnoticed = 10ms;  // less is how long it takes to read two clocks on a busy host

std::chrono::nanoseconds now_of(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

/// Whoever reads that it was cancelled sets it again.
bool arm(int timer) {
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<time_t>::max();
  return ::timerfd_settime(timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr) == 0;
}

}  // namespace

struct ClockWatch::Watched {
  Watched(const boost::asio::any_io_executor& executor, Fd its_timer, ReadOffset its_offset,
          std::function<void(Offset)> its_jumped)
      : timer(executor, its_timer.release()),
        offset(std::move(its_offset)),
        jumped(std::move(its_jumped)),
        last(offset()) {}
  boost::asio::posix::stream_descriptor timer;
  ReadOffset offset;
  std::function<void(Offset)> jumped;
  Offset last;
};

Result<Fd> ClockWatch::host_timer() {
  Fd timer(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!timer || !arm(timer.get())) return system_error("cannot watch the host's clock");
  return timer;
}

ClockWatch::Offset ClockWatch::host_offset() { return now_of(CLOCK_REALTIME) - now_of(CLOCK_MONOTONIC); }

ClockWatch::ClockWatch(const boost::asio::any_io_executor& executor, Fd timer, ReadOffset offset,
                       std::function<void(Offset)> jumped)
    : watched_(std::make_shared<Watched>(executor, std::move(timer), std::move(offset), std::move(jumped))) {
  wait(watched_);
}

ClockWatch::~ClockWatch() {
  boost::system::error_code ignored;
  watched_->timer.close(ignored);
}

void ClockWatch::wait(const std::shared_ptr<Watched>& watched) {
  auto happened = [weak = std::weak_ptr(watched)](boost::system::error_code failed) {
    const auto still = weak.lock();
    if (failed || !still) return;
    std::uint64_t expirations = 0;
    const int timer = still->timer.native_handle();
    (void)!::read(timer, &expirations, sizeof expirations);  // ECANCELED
    (void)arm(timer);
    const Offset now = still->offset();
    const Offset jump = now - std::exchange(still->last, now);
    if (std::chrono::abs(jump) >= unnoticed) still->jumped(jump);
    if (still->timer.is_open()) wait(still);
  };
  watched->timer.async_wait(boost::asio::posix::stream_descriptor::wait_read, std::move(happened));
}

}  // namespace sprite
