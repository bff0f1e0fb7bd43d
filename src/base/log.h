#pragma once
/// One line per event to standard error, with time and level. Only api, daemon, cli and agent log; the rest return
/// errors.
#include <fmt/format.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sprite::log {

enum class Level { debug, info, warning, error };

/// Lines below `level` are dropped. The default is info.
void set_level(Level level);
/// Lines go to `sink` (with their newline, possibly from several threads at once) instead of standard error. To be
/// called before there are threads.
void set_sink(std::function<void(std::string_view line)> sink);
/// Writes one line; newlines inside `text` become spaces.
void write(Level level, std::string_view text);

template <class... T>
void debug(fmt::format_string<T...> format, T&&... values) {
  write(Level::debug, fmt::format(format, std::forward<T>(values)...));
}
template <class... T>
void info(fmt::format_string<T...> format, T&&... values) {
  write(Level::info, fmt::format(format, std::forward<T>(values)...));
}
template <class... T>
void warning(fmt::format_string<T...> format, T&&... values) {
  write(Level::warning, fmt::format(format, std::forward<T>(values)...));
}
template <class... T>
void error(fmt::format_string<T...> format, T&&... values) {
  write(Level::error, fmt::format(format, std::forward<T>(values)...));
}

/// "what; because cause; because cause; try: hint" in one line.
std::string one_line(const Error& error);

}  // namespace sprite::log
