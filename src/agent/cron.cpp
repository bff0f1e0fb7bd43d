#include "agent/cron.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "base/directory.h"
#include "base/text.h"

namespace sprite::agent {
namespace {

constexpr std::size_t crontab_bytes_max = 256 * KiB, jobs_max = 1000;
constexpr std::time_t minute_s = 60;
constexpr int days_ahead = 8 * 366;  // a 29 February, over a year that has none although it is a fourth one

constexpr std::array<std::string_view, 12> month_names{"jan", "feb", "mar", "apr", "may", "jun",
                                                       "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> weekday_names{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

/// The numbers that a field may have, and words for them; the first word is `first_name`.
struct Range {
  int least, most;
  std::span<const std::string_view> names{};
  int first_name = 0;
};

bool same_word(std::string_view word, std::string_view lower) {
  return std::ranges::equal(word, lower, [](unsigned char a, char b) { return std::tolower(a) == b; });
}

std::optional<int> parse_value(std::string_view text, const Range& range) {
  for (std::size_t i = 0; i < range.names.size(); ++i)
    if (same_word(text, range.names[i])) return static_cast<int>(i) + range.first_name;
  int value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value >= range.least && value <= range.most ? std::optional(value) : std::nullopt;
}

/// "*", "7", "1-5", each with "/2" behind it.
template <std::size_t bits>
bool add_part(std::string_view part, const Range& range, std::bitset<bits>& into) {
  int step = 1;
  const auto slash = part.find('/');
  if (slash != std::string_view::npos) {
    const auto given = parse_value(part.substr(slash + 1), {1, range.most});
    if (!given) return false;
    step = *given;
    part = part.substr(0, slash);
  }
  std::optional<int> first = range.least, last = range.most;
  if (part != "*") {
    const auto dash = part.find('-');
    first = parse_value(part.substr(0, dash), range);
    if (dash != std::string_view::npos)
      last = parse_value(part.substr(dash + 1), range);
    else if (slash == std::string_view::npos)
      last = first;
  }
  if (!first || !last || *first > *last) return false;
  for (int value = *first; value <= *last; value += step) into.set(static_cast<std::size_t>(value));
  return true;
}

template <std::size_t bits>
bool parse_field(const std::string& field, const Range& range, std::bitset<bits>& into) {
  return std::ranges::all_of(split(field, ','), [&](const std::string& part) { return add_part(part, range, into); });
}

std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words(1);
  for (const char c : line) {
    const bool space = c == ' ' || c == '\t';
    if (!space) words.back() += c;
    if (space && !words.back().empty()) words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

/// What `@daily` and its like stand for; empty for other words.
std::string_view fields_of(std::string_view word) {
  if (word == "@hourly") return "0 * * * *";
  if (word == "@daily" || word == "@midnight") return "0 0 * * *";
  if (word == "@weekly") return "0 0 * * 0";
  if (word == "@monthly") return "0 0 1 * *";
  if (word == "@yearly" || word == "@annually") return "0 0 1 1 *";
  return {};
}

bool is_day_of(const CronTimes& times, const std::tm& day) {
  if (!times.months[static_cast<std::size_t>(day.tm_mon) + 1]) return false;
  const bool by_day = times.days[static_cast<std::size_t>(day.tm_mday)];
  const bool by_weekday = times.weekdays[static_cast<std::size_t>(day.tm_wday)];
  return times.every_day || times.every_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/// The first due minute of that day after `time`. One that a change to summer time leaves out is due an hour later.
std::optional<std::time_t> run_on(const CronTimes& times, const std::tm& day, std::time_t time) {
  for (int hour = 0; hour < 24; ++hour) {
    if (!times.hours[static_cast<std::size_t>(hour)]) continue;
    for (int minute = 0; minute < 60; ++minute) {
      if (!times.minutes[static_cast<std::size_t>(minute)]) continue;
      std::tm at = day;
      at.tm_hour = hour;
      at.tm_min = minute;
      at.tm_sec = 0;
      at.tm_isdst = -1;
      if (const std::time_t due = std::mktime(&at); due > time) return due;
    }
  }
  return std::nullopt;
}

/// As cron: a name with a dot or a tilde is an editor's or a packager's.
std::vector<Path> crontabs() {
  std::vector<Path> found{"/etc/crontab"};
  for (const Path folder : {"/etc/cron.d", "/var/spool/cron/crontabs", "/var/spool/cron"})
    if (const auto files = list_directory(folder))
      for (const Path& file : *files)
        if (file.filename().string().find_first_of(".~") == std::string::npos) found.push_back(file);
  std::erase_if(found, [](const Path& file) {
    std::error_code unreadable;
    return !std::filesystem::is_regular_file(file, unreadable);
  });
  return found;
}

std::vector<CronTimes> jobs() {
  std::vector<CronTimes> found;
  for (const Path& file : crontabs()) {
    const auto text = read_file(file, crontab_bytes_max);
    if (!text) continue;
    for (const std::string& line : split(*text, '\n'))
      if (const auto times = parse_cron_line(line); times && found.size() < jobs_max) found.push_back(*times);
  }
  return found;
}

}  // namespace

std::optional<CronTimes> parse_cron_line(std::string_view line) {
  std::vector<std::string> words = words_of(line);
  if (words.empty()) return std::nullopt;
  if (const std::string_view fields = fields_of(words.front()); !fields.empty()) words = words_of(fields);
  if (words.size() < 5) return std::nullopt;
  CronTimes times;
  const bool understood = parse_field(words[0], {0, 59}, times.minutes) &&
                          parse_field(words[1], {0, 23}, times.hours) && parse_field(words[2], {1, 31}, times.days) &&
                          parse_field(words[3], {1, 12, month_names, 1}, times.months) &&
                          parse_field(words[4], {0, 7, weekday_names, 0}, times.weekdays);
  if (!understood) return std::nullopt;
  if (times.weekdays[7]) times.weekdays.set(0);
  times.every_day = words[2].starts_with('*');
  times.every_weekday = words[4].starts_with('*');
  return times;
}

std::optional<std::time_t> next_run(const CronTimes& times, std::time_t time) {
  std::tm first{};
  if (::localtime_r(&time, &first) == nullptr) return std::nullopt;
  for (int ahead = 0; ahead <= days_ahead; ++ahead) {
    std::tm day{};
    day.tm_year = first.tm_year;
    day.tm_mon = first.tm_mon;
    day.tm_mday = first.tm_mday + ahead;
    day.tm_hour = 12;  // no day is without its noon
    day.tm_isdst = -1;
    (void)std::mktime(&day);
    if (!is_day_of(times, day)) continue;
    if (const auto due = run_on(times, day, time)) return due;
  }
  return std::nullopt;
}

int print_cron_runs(const Path& root) {
  if (::chroot(root.c_str()) != 0 || ::chdir("/") != 0) return 1;
  ::unsetenv("TZ");  // the zone is that of /etc/localtime
  const std::time_t now = std::time(nullptr);
  for (const CronTimes& each : jobs()) {
    const auto next = next_run(each, now);
    const auto then = next ? next_run(each, *next) : std::nullopt;
    if (next) fmt::print("{} {}\n", *next, then.value_or(*next + days_ahead * 24 * 60 * minute_s));
  }
  return 0;
}

}  // namespace sprite::agent
