#include "base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <ctime>
#include <numeric>

namespace sprite {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr std::array size_units{
    Unit{"", 1},
    Unit{"b", 1},
    Unit{"k", 1024.0},
    Unit{"m", 1048576.0},
    Unit{"g", 1073741824.0},
    Unit{"t", 1099511627776.0},
    Unit{"kib", 1024.0},
    Unit{"mib", 1048576.0},
    Unit{"gib", 1073741824.0},
    Unit{"tib", 1099511627776.0},
    Unit{"kb", 1e3},
    Unit{"mb", 1e6},
    Unit{"gb", 1e9},
    Unit{"tb", 1e12},
};
constexpr std::array duration_units{Unit{"ms", 1}, Unit{"s", 1e3}, Unit{"m", 60e3}, Unit{"h", 3600e3},
                                    Unit{"d", 86400e3}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Takes a leading decimal number off `text`.
std::optional<double> take_number(std::string_view& text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (failed != std::errc{} || !std::isfinite(value) || value < 0 || !is_digit(text.front())) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

/// Takes leading letters off `text`, lower-cased.
std::string take_word(std::string_view& text) {
  std::string word;
  while (!text.empty() && !is_digit(text.front()) && text.front() != '.') {
    word += lower(text.front());
    text.remove_prefix(1);
  }
  return word;
}

const Unit* find_unit(std::span<const Unit> units, std::string_view name) {
  const auto found = std::ranges::find(units, name, &Unit::name);
  return found == units.end() ? nullptr : &*found;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const Error wrong{Error::Kind::invalid,
                    "'" + std::string(text) + "' is not a size",
                    "write a number and a unit, such as 4GiB or 512MiB",
                    {}};
  const std::string trimmed = trim(text);
  std::string_view rest = trimmed;
  const auto number = rest.empty() ? std::nullopt : take_number(rest);
  if (!number) return wrong;
  const std::string unit_name = trim(take_word(rest));
  const Unit* unit = find_unit(size_units, unit_name);
  if (!unit || !rest.empty() || *number * unit->factor >= 9.2e18) return wrong;
  return static_cast<std::uint64_t>(*number * unit->factor);
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> names{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < names.size()) {
    value /= 1024;
    ++unit;
  }
  const bool whole = unit == 0 || value == std::floor(value);
  return whole ? fmt::format("{:.0f} {}", value, names[unit]) : fmt::format("{:.1f} {}", value, names[unit]);
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const Error wrong{Error::Kind::invalid,
                    "'" + std::string(text) + "' is not a duration",
                    "write a number and a unit, such as 30s, 10m or 1h30m",
                    {}};
  const std::string trimmed = trim(text);
  std::string_view rest = trimmed;
  double total_ms = 0;
  if (rest.empty()) return wrong;
  while (!rest.empty()) {
    const auto number = take_number(rest);
    if (!number) return wrong;
    std::string word = trim(take_word(rest));
    if (word.empty() && rest.empty()) word = "s";
    const Unit* unit = find_unit(duration_units, word);
    if (!unit) return wrong;
    total_ms += *number * unit->factor;
  }
  if (total_ms >= 9.2e15) return wrong;
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::llround(total_ms)));
}

std::string format_duration(std::chrono::milliseconds duration) {
  std::int64_t ms = duration.count();
  if (ms < 1000) return fmt::format("{}ms", ms);
  std::string text;
  constexpr std::array<std::pair<std::int64_t, char>, 4> parts{
      {{86400000, 'd'}, {3600000, 'h'}, {60000, 'm'}, {1000, 's'}}};
  int shown = 0;
  for (const auto& [size, letter] : parts) {
    const std::int64_t count = ms / size;
    ms %= size;
    if (count > 0 && shown < 2) {
      text += fmt::format("{}{}", count, letter);
      ++shown;
    }
  }
  return text;
}

std::string format_time(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = static_cast<std::time_t>((since - ((since % 1000) + 1000) % 1000) / 1000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, ((since % 1000) + 1000) % 1000);
}

Result<std::chrono::system_clock::time_point> parse_time(std::string_view text) {
  std::tm parts{};
  const std::string copy(text);
  const char* rest = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::int64_t ms = 0;
  if (rest && *rest == '.') {
    std::int64_t scale = 100;
    for (++rest; is_digit(*rest); ++rest, scale /= 10) ms += (*rest - '0') * scale;
  }
  if (!rest || std::string_view(rest) != "Z") return Error{Error::Kind::invalid, "'" + copy + "' is not a time in UTC"};
  return std::chrono::system_clock::from_time_t(::timegm(&parts)) + std::chrono::milliseconds(ms);
}

std::optional<std::string> nearest(std::string_view word, std::span<const std::string> words) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& each : words) {
    const std::size_t distance = edit_distance(word, each);
    if (distance < best_distance) {
      best = each;
      best_distance = distance;
    }
  }
  return best;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (&part != parts.data()) text += separator;
    text += part;
  }
  return text;
}

std::string trim(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_last_not_of(blanks) - first + 1));
}

std::string shell_word(std::string_view text) {
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

Result<> check_sprite_name(std::string_view name) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; };
  if (!name.empty() && name.size() <= 48 && std::ranges::all_of(name, allowed) && name.front() != '-' &&
      name.back() != '-')
    return {};
  return Error{Error::Kind::invalid,
               "'" + std::string(name) + "' is not a name for a sprite",
               "use 1 to 48 of a-z, 0-9 and '-', with a letter or digit first and last",
               {}};
}

}  // namespace sprite
