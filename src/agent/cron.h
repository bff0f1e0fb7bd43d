#pragma once
/// cron: when the jobs of crontabs are due.
#include <bitset>
#include <ctime>
#include <optional>
#include <string_view>

#include "base/file.h"

namespace sprite::agent {

/// The minutes at which a line of a crontab is due.
struct CronTimes {
  std::bitset<60> minutes{};
  std::bitset<24> hours{};
  std::bitset<32> days{};                         ///< 1 to 31
  std::bitset<13> months{};                       ///< 1 to 12
  std::bitset<8> weekdays{};                      ///< 0 and 7 are Sunday, both or neither
  bool every_day = false, every_weekday = false;  ///< Began with `*`. If neither did, one of both is enough.
};

/// Nothing for a line that is no job's, that cron does not understand, or that is due at boot only.
std::optional<CronTimes> parse_cron_line(std::string_view line);

/// The first due minute after `time`, in the local time zone; nothing if there is none within eight years.
std::optional<std::time_t> next_run(const CronTimes& times, std::time_t time);

/// Prints for each job of the crontabs in `root` when it is due next, and when after that (seconds since 1970, a line
/// each), and returns an exit status. For a process of its own: `root` becomes its root directory, since the links, the
/// time zone and the files in there are the user's.
int print_cron_runs(const Path& root);

}  // namespace sprite::agent
