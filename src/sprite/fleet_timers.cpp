// Fleet: waking for timers of programs.
//
// Before a sprite stands still its agent says which timers of the wall clock programs have set. The first one that is
// at least `sleep.timer_floor` away becomes an appointment: it is in the record, so that every later daemon keeps it,
// too. One that is nearer holds off the sleep instead, unless the sprite has been idle for the floor and more already:
// then there is always one, of a program that looks at something every few seconds, and it would never sleep.
#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "base/text.h"
#include "sprite/fleet.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;
using SystemTime = std::chrono::system_clock::time_point;

constexpr auto retry_after = 1min;
constexpr std::chrono::hours farthest{24 * 366 * 10}, earliest_before{1};

/// The guest may say anything.
bool is_credible(const wire::Appointment& appointment, SystemTime now) {
  const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return appointment.at_ms > now_ms && appointment.at_ms - now_ms < std::chrono::milliseconds(farthest).count() &&
         appointment.early_ms >= 0 && appointment.early_ms < std::chrono::milliseconds(earliest_before).count();
}

SystemTime time_of(const wire::Appointment& appointment) {
  return SystemTime(std::chrono::milliseconds(appointment.at_ms));
}

std::optional<SystemTime> time_of(const std::optional<std::string>& text) {
  const auto time = text ? parse_time(*text) : Result<SystemTime>(Error{});
  return time ? std::optional(*time) : std::nullopt;
}

/// The same moment on the clock that alarms are set by.
Use::Time steady(SystemTime time) {
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<Use::Time::duration>(time - std::chrono::system_clock::now());
}

}  // namespace

/// The caller has the entry's turn and is about to pause it. Who cannot be asked has no timers. Errors: as
/// save_record().
asio::awaitable<Result<>> Fleet::note_timer(EntryPtr entry) {
  std::optional<wire::Appointment> next;
  if (host_.options().sleep_timer_floor) {
    if (const auto activity = co_await entry->machine.activity()) next = activity->next;
  }
  if (next && !is_credible(*next, std::chrono::system_clock::now())) next.reset();
  if (next) {
    entry->record.timer_due_at = format_time(time_of(*next));
    entry->record.wakes_at = format_time(time_of(*next) - std::chrono::milliseconds(next->early_ms));
  }
  if (!next && !entry->timer_on_disk) co_return Result<>{};
  CO_TRY(co_await save_record_of(entry));
  entry->timer_on_disk = next.has_value();
  co_return Result<>{};
}

/// What is soon to happen inside an idle sprite is waited for.
void Fleet::expect_timer(Entry& entry, const wire::Activity& activity) {
  const auto now = std::chrono::system_clock::now();
  const SleepTime after = sleep_rules(entry.record).after, floor = host_.options().sleep_timer_floor;
  entry.use.expects.reset();
  if (!activity.near || !is_credible(*activity.near, now) || !after || !floor) return;
  if (std::chrono::steady_clock::now() - entry.use.last >= *after + *floor) return;
  entry.use.expects = steady(time_of(*activity.near)) + *after;
  entry.use.activity = "a timer of its own is due at " + format_time(time_of(*activity.near));
  entry.use.at_work = false;
}

void Fleet::set_waker(Entry& entry) {
  const bool sleeps = entry.phase == Phase::paused || entry.phase == Phase::asleep;
  const auto wakes_at = sleeps ? time_of(entry.record.wakes_at) : std::nullopt;
  if (!wakes_at) {
    entry.waker.cancel();
    return;
  }
  entry.waker.expires_at(*wakes_at);
  auto ring = [weak = weak_from_this(), weak_entry = entry.weak_from_this()](boost::system::error_code moved) {
    const auto self = weak.lock();
    const auto rung = weak_entry.lock();
    if (moved || !self || !rung) return;
    asio::co_spawn(self->host_.executor(), self->keep_appointment(rung), [self](std::exception_ptr) {});
  };
  entry.waker.async_wait(std::move(ring));
}

asio::awaitable<void> Fleet::keep_appointment(EntryPtr entry) {
  const Turns::Turn turn = co_await entry->turns.take("wake for a timer of its own");
  const bool sleeps = entry->phase == Phase::paused || entry->phase == Phase::asleep;
  const auto due = time_of(entry->record.timer_due_at), wakes_at = time_of(entry->record.wakes_at);
  if (!sleeps || !due || !wakes_at || *wakes_at > std::chrono::system_clock::now()) co_return;
  const std::string reason = "woken for a timer of its own, due at " + *entry->record.timer_due_at;
  log::info("sprite '{}' is {}", entry->record.name, reason);
  const auto up = co_await bring_up(entry);
  if (up) {
    entry->use.last = std::max(steady(*due), std::chrono::steady_clock::now());
    entry->use.activity = reason;
    set_alarm(*entry);
    co_return;
  }
  log::warning("ignoring a timer of '{}' for {}: {}", entry->record.name, format_duration(retry_after),
               log::one_line(up.error()));
  if (!entry->record.wakes_at) co_return;  // it has to boot now: its programs are gone
  entry->record.wakes_at = format_time(std::chrono::system_clock::now() + retry_after);
  set_waker(*entry);
}

}  // namespace sprite
