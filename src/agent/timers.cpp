#include "agent/timers.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <ctime>

#include "base/directory.h"
#include "base/process.h"
#include "base/text.h"

namespace sprite::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto cron_limit = 2s;
constexpr auto cron_interval = 60s;              // how long a cron may not look at the clock
constexpr std::time_t latest_s = 9'000'000'000;  // nanoseconds of it fit in 64 bits
constexpr std::size_t timer_list_bytes_max = 8 * MiB;

Timer::Time from_ns(std::int64_t ns) {
  return Timer::Time(std::chrono::duration_cast<Timer::Time::duration>(std::chrono::nanoseconds(ns)));
}

std::int64_t to_ms(Timer::Time time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

template <class T>
std::optional<T> number_at(std::string_view text, int base = 10) {
  T value{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return failed == std::errc() ? std::optional(value) : std::nullopt;
}

/// The part of `line` behind `mark`; nothing if it is not there.
std::optional<std::string_view> behind(std::string_view line, std::string_view mark) {
  const auto at = line.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  return line.substr(at + mark.size());
}

/// What a thread sleeps until in clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, …): its line in /proc says which system
/// call it is in, and with what.
std::optional<Timer> nanosleep_of(const Path& thread) {
  const auto line = read_file(thread / "syscall", 4096);
  if (!line) return std::nullopt;
  const std::vector<std::string> words = split(*line, ' ');
  if (words.size() < 4 || words[0] != std::to_string(SYS_clock_nanosleep)) return std::nullopt;
  if (words[1] != "0x0" || words[2] != "0x1" || !words[3].starts_with("0x")) return std::nullopt;
  const auto address = number_at<std::uint64_t>(std::string_view(words[3]).substr(2), 16);
  const auto memory = open_file(thread / "mem", O_RDONLY);
  timespec until{};
  if (!address || !memory) return std::nullopt;
  if (::pread(memory->get(), &until, sizeof(until), static_cast<off_t>(*address)) != sizeof(until)) return std::nullopt;
  if (until.tv_sec <= 0 || until.tv_sec > latest_s) return std::nullopt;
  return Timer{from_ns(until.tv_sec * 1'000'000'000 + until.tv_nsec)};
}

struct Processes {
  std::vector<Timer> sleepers;
  bool cron = false;
};

Processes look_at_processes() {
  Processes found;
  const auto all = list_directory("/proc");
  if (!all) return found;
  for (const Path& process : *all) {
    if (!number_at<pid_t>(process.filename().string())) continue;
    const auto name = read_file(process / "comm", 64);
    if (name && (trim(*name) == "cron" || trim(*name) == "crond")) found.cron = true;
    const auto threads = list_directory(process / "task");
    if (!threads) continue;  // it has ended
    for (const Path& thread : *threads)
      if (const auto sleeper = nanosleep_of(thread)) found.sleepers.push_back(*sleeper);
  }
  return found;
}

wire::Appointment appointment(Timer::Time at, std::chrono::milliseconds early) { return {to_ms(at), early.count()}; }

void take_earlier(std::optional<wire::Appointment>& of, const wire::Appointment& other) {
  if (!of || other.at_ms - other.early_ms < of->at_ms - of->early_ms) of = other;
}

}  // namespace

std::vector<Timer> parse_timer_list(std::string_view text) {
  std::vector<Timer> timers;
  bool of_real_time = false, of_program = false;
  for (const std::string& line : split(text, '\n')) {
    if (const auto index = behind(line, ".index:")) {
      const std::string clock = trim(*index);
      of_real_time = clock == "1" || clock == "5";  // the latter's are run by a softirq
    } else if (line.starts_with(" #")) {
      const auto expiry = behind(line, "# expires at ");
      const auto ns = expiry && of_real_time && of_program ? number_at<std::int64_t>(*expiry) : std::nullopt;
      if (ns && *ns > 0) timers.push_back(Timer{from_ns(*ns)});
      of_program =
          line.find(", timerfd_tmrproc,") != std::string::npos || line.find(", posix_timer_fn,") != std::string::npos;
    }
  }
  return timers;
}

std::vector<Timer> parse_cron_runs(std::string_view text) {
  std::vector<Timer> timers;
  for (const std::string& line : split(text, '\n')) {
    const std::vector<std::string> words = split(line, ' ');
    if (words.size() != 2) continue;
    const auto at = number_at<std::int64_t>(words[0]), again = number_at<std::int64_t>(words[1]);
    if (at && again)
      timers.push_back(
          Timer{Timer::Time(std::chrono::seconds(*at)), Timer::Time(std::chrono::seconds(*again)), cron_interval});
  }
  return timers;
}

std::vector<Timer> find_timers(const Path& root) {
  std::vector<Timer> timers;
  if (const auto list = read_file("/proc/timer_list", timer_list_bytes_max)) timers = parse_timer_list(*list);
  Processes processes = look_at_processes();
  timers.insert(timers.end(), processes.sleepers.begin(), processes.sleepers.end());
  if (!processes.cron) return timers;
  const auto runs = run_process({"/proc/self/exe", "cron-runs", root.string()}, cron_limit);
  if (!runs || runs->exit_status != 0) return timers;
  const std::vector<Timer> jobs = parse_cron_runs(runs->out);
  timers.insert(timers.end(), jobs.begin(), jobs.end());
  return timers;
}

void choose_timers(const std::vector<Timer>& timers, Timer::Time now, std::chrono::milliseconds near,
                   wire::Activity& activity) {
  for (const Timer& each : timers) {
    if (each.at <= now) continue;
    const bool is_near = each.at - each.early - now < near;
    take_earlier(is_near ? activity.near : activity.next, appointment(each.at, each.early));
    if (is_near && each.again && *each.again - each.at > near + each.early)
      take_earlier(activity.next, appointment(*each.again, each.early));
  }
}

}  // namespace sprite::agent
