#include "base/sleep_time.h"

#include "base/text.h"

namespace sprite {

Result<SleepTime> parse_sleep_time(std::string_view text) {
  if (text == "never") return SleepTime();
  if (!text.empty() && text.find_first_not_of("0123456789.") == text.npos)
    return Error{Error::Kind::invalid,
                 "'" + std::string(text) + "' has no unit",
                 "write " + std::string(text) + "s, " + std::string(text) + "m or " + std::string(text) + "h",
                 {}};
  TRY_LET(const std::chrono::milliseconds time, parse_duration(text));
  if (time > std::chrono::days(3650))
    return Error{
        Error::Kind::invalid, "'" + std::string(text) + "' is too long a time to fall asleep in", "write never", {}};
  if (time < std::chrono::seconds(1))
    return Error{Error::Kind::invalid,
                 "'" + std::string(text) + "' is too short a time to fall asleep in",
                 "write a time from 1s on, such as 30s or 10m, or never",
                 {}};
  return SleepTime(time);
}

}  // namespace sprite
