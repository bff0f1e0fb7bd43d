#include "agent/timers.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "agent/cron.h"

using namespace sprite::agent;
using namespace std::chrono_literals;

namespace {

/// The local time zone, for as long as it lives.
struct Zone {
  explicit Zone(const char* name) {
    ::setenv("TZ", name, 1);
    ::tzset();
  }
  ~Zone() {
    ::unsetenv("TZ");
    ::tzset();
  }
};

std::time_t utc(int year, int month, int day, int hour, int minute) {
  std::tm time{};
  time.tm_year = year - 1900;
  time.tm_mon = month - 1;
  time.tm_mday = day;
  time.tm_hour = hour;
  time.tm_min = minute;
  return ::timegm(&time);
}

/// When a line is due after noon of Wednesday, 2026-11-25 UTC, as "MM-DD HH:MM" in UTC; empty: never.
std::string due(std::string_view line) {
  const auto times = parse_cron_line(line);
  if (!times) return "no job";
  const auto next = next_run(*times, utc(2026, 11, 25, 12, 0));
  if (!next) return "";
  std::tm time{};
  ::gmtime_r(&*next, &time);
  char text[32];
  std::strftime(text, sizeof(text), "%m-%d %H:%M", &time);
  return text;
}

Timer::Time at(std::chrono::seconds since_1970) { return Timer::Time(since_1970); }

}  // namespace

TEST_CASE("a job of cron is due in the next minute that its five fields admit") {
  const Zone zone("UTC");
  CHECK(due("* * * * * root true") == "11-25 12:01");
  CHECK(due("*/5 * * * * true") == "11-25 12:05");
  CHECK(due("0 3 * * * root backup") == "11-26 03:00");
  CHECK(due("  17\t*  * * *\troot cd / && run-parts --report /etc/cron.hourly") == "11-25 12:17");
  CHECK(due("0,30 9-17/4 * * * x") == "11-25 13:00");
  CHECK(due("5/20 * * * * x") == "11-25 12:05");
  CHECK(due("0 0 1 jan * x") == "01-01 00:00");
  CHECK(due("0 0 * * Sat x") == "11-28 00:00");
  CHECK(due("0 0 * * 7 x") == "11-29 00:00");
  CHECK(due("0 0 29 2 * x") == "02-29 00:00");
  CHECK(due("@daily x") == "11-26 00:00");
  CHECK(due("@weekly x") == "11-29 00:00");
}

TEST_CASE("a day of the month and a day of the week: one of both is enough, unless one began with a star") {
  const Zone zone("UTC");
  CHECK(due("0 0 30 * fri x") == "11-27 00:00");
  CHECK(due("0 0 26 * fri x") == "11-26 00:00");
  CHECK(due("0 0 */2 * fri x") == "11-27 00:00");
}

TEST_CASE("what is no job of cron is due never") {
  const Zone zone("UTC");
  for (const char* line :
       {"", "# 0 3 * * * x", "SHELL=/bin/sh", "MAILTO = someone over there now", "@reboot x", "0 24 * * * x",
        "60 * * * * x", "0 0 0 * * x", "5-1 * * * * x", "*/0 * * * * x", "a b c d e", "0 3 * *"})
    CHECK(due(line) == "no job");
  CHECK(due("0 0 30 2 * x") == "");
}

TEST_CASE("a job of cron is due by the local time zone") {
  const Zone zone("EST5EDT,M3.2.0,M11.1.0");
  CHECK(due("0 3 * * * x") == "11-26 08:00");
  const auto at_three = parse_cron_line("0 3 * * * x");
  REQUIRE(at_three);
  CHECK(next_run(*at_three, utc(2026, 7, 1, 12, 0)) == utc(2026, 7, 2, 7, 0));  // in summer time
  const auto times = parse_cron_line("30 2 * * * x");
  REQUIRE(times);
  // 2026-03-08, 02:30 is not there: an hour later will do
  CHECK(next_run(*times, utc(2026, 3, 8, 6, 0)) == utc(2026, 3, 8, 7, 30));
}

TEST_CASE("timers of programs on the real-time clock are read from the kernel's list; others are not") {
  const auto timers = parse_timer_list(R"(Timer List Version: v0.9
HRTIMER_MAX_CLOCK_BASES: 8
now at 38773784620435 nsecs

cpu: 0
 clock 0:
  .base:       00000000299d7ac5
  .index:      0
active timers:
 #0: <00000000f00d5308>, tick_sched_timer, S:01
 # expires at 38773788000000-38773788000000 nsecs [in 3379565 to 3379565 nsecs]
 #1: <000000007ce9b7f3>, timerfd_tmrproc, S:01
 # expires at 38773801691985-38773801691985 nsecs [in 17071550 to 17071550 nsecs]
 clock 1:
  .base:       0000000029900000
  .index:      1
active timers:
 #0: <00000000f00d5308>, sync_timer_callback, S:01
 # expires at 1800000000000000000-1800000000000000000 nsecs [in 1 to 1 nsecs]
 #1: <00000000f00d5308>, timerfd_tmrproc, S:01
 # expires at 1800000001000000000-1800000001000000000 nsecs [in 1 to 1 nsecs]
 #2: <00000000f00d5308>, hrtimer_wakeup, S:01
 # expires at 1800000002000000000-1800000002000000000 nsecs [in 1 to 1 nsecs]
 #3: <00000000f00d5308>, posix_timer_fn, S:01
 # expires at 1800000003000000000-1800000003000000000 nsecs [in 1 to 1 nsecs]
)");
  REQUIRE(timers.size() == 2);
  CHECK(timers[0].at == at(1'800'000'001s));
  CHECK(timers[1].at == at(1'800'000'003s));
  CHECK(parse_timer_list("").empty());
  CHECK(parse_timer_list(" .index: 1\n #0: <0>, timerfd_tmrproc, S:01\n # expires at x\n").empty());
}

TEST_CASE("the next timer is the first that is not near; what goes off all the time never is") {
  const auto chosen = [](std::vector<Timer> timers) {
    sprite::wire::Activity activity;
    choose_timers(timers, at(1000s), 60s, activity);
    const auto second = [](const auto& of) { return of ? of->at_ms / 1000 : 0; };
    return std::pair(second(activity.near), second(activity.next));
  };
  using Chosen = std::pair<std::int64_t, std::int64_t>;
  CHECK(chosen({}) == Chosen(0, 0));
  CHECK(chosen({{at(900s)}}) == Chosen(0, 0));
  CHECK(chosen({{at(1030s)}, {at(1020s)}, {at(5000s)}, {at(4000s)}}) == Chosen(1020, 4000));
  CHECK(chosen({{at(1060s)}}) == Chosen(0, 1060));
  CHECK(chosen({{at(1060s), {}, 1s}}) == Chosen(1060, 0));             // the machine has to be awake earlier
  CHECK(chosen({{at(1020s), at(1320s), 60s}}) == Chosen(1020, 1320));  // every 5 minutes
  CHECK(chosen({{at(1020s), at(1080s), 60s}}) == Chosen(1020, 0));     // every minute
}

TEST_CASE("what is said of cron's jobs is read back") {
  const auto timers = parse_cron_runs("1800000000 1800000060\nnonsense\n1800000300 x\n");
  REQUIRE(timers.size() == 1);
  CHECK(timers[0].at == at(1'800'000'000s));
  CHECK(timers[0].again == at(1'800'000'060s));
  CHECK(timers[0].early == 60s);
}
