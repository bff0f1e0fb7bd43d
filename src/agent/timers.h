#pragma once
/// Timers: the moments of the wall clock at which programs want to run, so that a machine that sleeps then can be
/// woken.
///
/// Those are timers of the real-time clock (timerfd, timer_create, clock_nanosleep until a time) and the jobs of cron,
/// which itself looks at the clock once a minute and tells nobody. Other clocks stand still while the machine sleeps,
/// as they do in a laptop: a `sleep 60` takes a minute of the machine's time. Waits of threads for each other (futexes)
/// are not among them: their limits are there for emergencies.
#include <chrono>
#include <optional>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "wire/types.h"

namespace sprite::agent {

struct Timer {
  using Time = std::chrono::system_clock::time_point;
  Time at{};
  std::optional<Time> again{};         ///< The time after that, where it is known.
  std::chrono::milliseconds early{0};  ///< The machine has to be awake so long before.
};

/// From the text of /proc/timer_list: when timers of timerfd and timer_create on the real-time clock go off.
std::vector<Timer> parse_timer_list(std::string_view text);
/// From what print_cron_runs() prints.
std::vector<Timer> parse_cron_runs(std::string_view text);
/// The timers of every program. `root` holds the crontabs. Blocks, for two seconds at most.
std::vector<Timer> find_timers(const Path& root);

/// Sets activity.near and activity.next, by when the machine has to be awake. One that goes off again and again with
/// less than `near` in between is never the next.
void choose_timers(const std::vector<Timer>& timers, Timer::Time now, std::chrono::milliseconds near,
                   wire::Activity& activity);

}  // namespace sprite::agent
