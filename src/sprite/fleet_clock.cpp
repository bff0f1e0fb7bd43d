// Fleet: the host's clock. When it is set, or the host wakes from a suspension, guests that run are told the time;
// those that sleep learn it when they wake.
#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "base/text.h"
#include "sprite/fleet.h"

namespace sprite {

void Fleet::watch_clock() {
  auto timer = ClockWatch::host_timer();
  if (!timer) {
    log::warning("guests are not told when this host's clock is set: {}", log::one_line(timer.error()));
    return;
  }
  auto jumped = [weak = weak_from_this()](ClockWatch::Offset jump) {
    if (const auto self = weak.lock()) self->clock_jumped(jump);
  };
  clock_ = std::make_unique<ClockWatch>(host_.executor(), *std::move(timer), ClockWatch::host_offset, jumped);
}

/// One that is on its way to sleep must not have its programs let go.
void Fleet::clock_jumped(ClockWatch::Offset jump) {
  const auto distance = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::abs(jump));
  log::info("the host's clock went {} by {}", jump.count() < 0 ? "back" : "forward", format_duration(distance));
  auto tell = [](EntryPtr entry) -> asio::awaitable<void> {
    const Turns::Turn turn = co_await entry->turns.take("setting of the clock");
    if (entry->phase != Phase::running || !entry->machine.reachable()) co_return;
    auto told = co_await entry->machine.greet();
    if (!told) log::warning("'{}' does not know the time: {}", entry->record.name, log::one_line(told.error()));
  };
  for (const auto& [name, entry] : entries_) {
    auto ignored = [self = shared_from_this()](std::exception_ptr) {};
    asio::co_spawn(host_.executor(), tell(entry), ignored);
  }
}

}  // namespace sprite
