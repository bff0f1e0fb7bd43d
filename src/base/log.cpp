#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>

#include "base/fd.h"

namespace sprite::log {
namespace {

std::atomic<Level> lowest{Level::info};

std::function<void(std::string_view)>& sink() {
  static std::function<void(std::string_view)> instance;
  return instance;
}

std::string timestamp() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text, milliseconds);
}

}  // namespace

void set_level(Level level) { lowest = level; }

void set_sink(std::function<void(std::string_view)> to) { sink() = std::move(to); }

void write(Level level, std::string_view text) {
  if (level < lowest) return;
  constexpr std::string_view names[] = {"debug", "info", "warning", "error"};
  std::string line = fmt::format("{} {} {}", timestamp(), names[static_cast<int>(level)], text);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';  // it may be a guest's, and be shown on a terminal
  line += '\n';
  if (sink()) return sink()(line);
  (void)write_all(STDERR_FILENO, as_bytes(line));  // nowhere left to report to
}

std::string one_line(const Error& error) {
  std::string text = error.what;
  for (const std::string& cause : error.because) text += "; because " + cause;
  if (!error.hint.empty()) text += "; try: " + error.hint;
  return text;
}

}  // namespace sprite::log
