#pragma once
/// Text to and from sizes, durations and times; the nearest of some words; splitting and joining.
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sprite {

/// "4GiB", "512 MiB", "100GB" (decimal), "65536" to bytes. Errors: invalid.
Result<std::uint64_t> parse_size(std::string_view text);
/// Bytes as "1.5 GiB": at most one decimal, binary units.
std::string format_size(std::uint64_t bytes);
/// "30s", "1m30s", "500ms", "2h", "5" and "5.0" (seconds), "never" is not one. Errors: invalid.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);
/// "1h2m", "30s", "250ms".
std::string format_duration(std::chrono::milliseconds duration);
/// RFC 3339 in UTC with milliseconds: "2026-06-02T17:11:17.821Z".
std::string format_time(std::chrono::system_clock::time_point time);
/// The time of an RFC 3339 text in UTC. Errors: invalid.
Result<std::chrono::system_clock::time_point> parse_time(std::string_view text);

/// The word that differs from `word` in the fewest letters, if that is at most a third of its length (at least 2).
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> words);
std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string trim(std::string_view text);
/// `text` as one word of a shell line, quoted.
std::string shell_word(std::string_view text);

/// Checks a sprite's name: 1 to 48 of a-z, 0-9 and '-', first and last not '-'. Errors: invalid.
Result<> check_sprite_name(std::string_view name);

}  // namespace sprite
