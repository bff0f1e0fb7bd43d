#pragma once
/// How long a sprite is idle before it sleeps, as people write it.
#include <chrono>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace sprite {

/// Nothing: never.
using SleepTime = std::optional<std::chrono::milliseconds>;

/// "30s", "10m", "never". Errors: invalid (less than a second included).
Result<SleepTime> parse_sleep_time(std::string_view text);

}  // namespace sprite
