#include "base/sleep_time.h"

#include "base/text.h"

namespace sprite {

Result<SleepTime> parse_sleep_time(std::string_view text) {
  if (text == "never") return SleepTime();
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
