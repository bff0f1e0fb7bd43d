// Fleet: falling asleep by itself.
//
// Each sprite has one alarm, set to when it is due to change (idle.h); whatever uses it moves the alarm, and one that
// is in use, asleep or stopped has none: nothing is looked at then (that a sleeping one wakes for a timer is another
// matter: fleet_timers.cpp). When the alarm of a running sprite goes off, its
// agent is asked what goes on inside: a second look is as far away as that was recent. So an idle sprite is asked once,
// and one that works without connections once in as long as it would have to be idle.
#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "base/text.h"
#include "sprite/fleet.h"
#include "sprite/used_stream.h"
#include "wire/activity.h"

namespace sprite {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds still_at_work{3};  // the agent looks around every 2 s

Wakefulness wakefulness_of(const Entry& entry) {
  if (entry.phase == Phase::running) return Wakefulness::awake;
  const bool sleeps = entry.phase == Phase::paused && !entry.saving && !entry.stands_still;
  return sleeps ? Wakefulness::paused : Wakefulness::other;
}

/// The sprite's own time, else the one of the settings. (What is in a record was checked before it came there.)
SleepTime own_or(const std::optional<std::string>& own, const SleepTime& standard) {
  if (!own) return standard;
  const auto parsed = parse_sleep_time(*own);
  return parsed ? *parsed : standard;
}

}  // namespace

SleepRules Fleet::sleep_rules(const Record& record) const {
  return {own_or(record.sleep_after, host_.options().sleep_after),
          own_or(record.sleep_deep_after, host_.options().sleep_deep_after), record.pinned.value_or(false)};
}

std::optional<Use::Time> Fleet::sleep_due(const Entry& entry) const {
  return change_due(wakefulness_of(entry), sleep_rules(entry.record), entry.use);
}

void Fleet::touch(Entry& entry) {
  entry.use.last = Clock::now();
  entry.use.expects.reset();
  entry.use.activity.clear();
  entry.use.at_work = false;
  set_alarm(entry);
}

void Fleet::set_alarm(Entry& entry) {
  const auto due = sleep_due(entry);
  if (!due) {
    entry.alarm.cancel();
    return;
  }
  entry.alarm.expires_at(*due);
  auto ring = [weak = weak_from_this(), weak_entry = entry.weak_from_this()](boost::system::error_code moved) {
    const auto self = weak.lock();
    const auto rung = weak_entry.lock();
    if (moved || !self || !rung) return;
    asio::co_spawn(self->host_.executor(), self->sleep_deeper(rung), [self](std::exception_ptr) {});
  };
  entry.alarm.async_wait(std::move(ring));
}

asio::awaitable<void> Fleet::sleep_deeper(EntryPtr entry) {
  if (entry->phase == Phase::running) {
    co_await look_inside(entry);
  }
  const Turns::Turn turn = co_await entry->turns.take();
  const auto due = sleep_due(*entry);
  if (!due || *due > Clock::now()) {
    set_alarm(*entry);
    co_return;
  }
  const bool awake = entry->phase == Phase::running;
  Result<> done;
  if (awake) {
    done = co_await pause(entry);
  } else {
    done = co_await send_to_disk(entry);
  }
  if (done) co_return;
  log::warning("'{}' does not sleep{}: {}", entry->record.name, awake ? "" : " on the disk",
               log::one_line(done.error()));
  if (!awake) enter(*entry, Phase::paused, "paused; its memory could not be saved: " + done.error().what);
  touch(*entry);
}

/// Moves the time of the last use to when something inside was last at work. Who cannot be asked is left alone.
asio::awaitable<void> Fleet::look_inside(EntryPtr entry) {
  auto activity = co_await entry->machine.activity();
  if (!activity) {
    entry->use.last = Clock::now();
    entry->use.activity = "it cannot be seen what goes on inside: " + activity.error().what;
    entry->use.at_work = true;
    co_return;
  }
  constexpr double long_s = 1e6;
  const std::chrono::duration<double> idle(std::clamp(activity->idle_s, 0.0, long_s));
  const auto last = Clock::now() - std::chrono::duration_cast<Clock::duration>(idle);
  entry->use.at_work = last > entry->use.last && idle < still_at_work;
  if (last > entry->use.last) {
    entry->use.last = last;
    entry->use.activity = std::move(activity->reason);
  }
  expect_timer(*entry, *activity);
}

/// The stream, in use until it is destroyed, and `with_it` goes. What is written to it wakes a sprite that was paused
/// meanwhile.
Result<Stream> Fleet::in_use(EntryPtr entry, Result<Stream> stream, std::shared_ptr<void> with_it) {
  if (!stream) return stream;
  ++entry->use.connections;
  entry->alarm.cancel();
  auto end = [weak = weak_from_this(), entry, with_it = std::move(with_it)](void*) {
    --entry->use.connections;
    if (const auto self = weak.lock()) self->touch(*entry);
  };
  auto written = [weak = weak_from_this(), entry] {
    if (entry->phase != Phase::paused && entry->phase != Phase::pausing) return;
    const auto self = weak.lock();
    if (!self || entry->waking) return;
    entry->waking = true;
    auto wake = [](std::shared_ptr<Fleet> fleet, EntryPtr sleeper) -> asio::awaitable<void> {
      const Turns::Turn turn = co_await sleeper->turns.take();
      sleeper->waking = false;
      (void)co_await fleet->rouse(sleeper);  // who wrote notices that nobody answers
    };
    asio::co_spawn(self->host_.executor(), wake(self, entry), [self](std::exception_ptr) {});
  };
  return Stream(std::make_unique<UsedTransport>(*std::move(stream), std::shared_ptr<void>(nullptr, end), written));
}

/// What is shown of it.
void Fleet::describe_sleep(const Entry& entry, wire::Sprite& shown) const {
  shown.sleep_after = entry.record.sleep_after;
  shown.sleep_deep_after = entry.record.sleep_deep_after;
  const SleepRules rules = sleep_rules(entry.record);
  shown.pinned = rules.pinned;
  const Wakefulness is = wakefulness_of(entry);
  if (is == Wakefulness::awake) shown.activity = why_awake(rules, entry.use);
  if (entry.phase == Phase::paused || entry.phase == Phase::asleep) shown.timer_due_at = entry.record.timer_due_at;
  if (shown.timer_due_at) {
    shown.next_change = "awake for its own timer";
    shown.next_change_at = entry.record.wakes_at;
  }
  const auto due = sleep_due(entry);
  if (!due) return;
  const auto until = std::chrono::duration_cast<std::chrono::milliseconds>(*due - Clock::now());
  const auto held = wire::held(shown.activity);
  if (is == Wakefulness::awake && entry.use.at_work && !held) return;  // when it is paused nobody knows
  const auto soonest = std::chrono::system_clock::now() + until;
  const std::string at = format_time(held ? std::max(soonest, held->until) : soonest);
  if (shown.next_change_at && *shown.next_change_at < at) return;
  shown.next_change = is == Wakefulness::awake ? "paused" : "on the disk";
  shown.next_change_at = at;
}

}  // namespace sprite
