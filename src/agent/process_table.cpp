#include "agent/process_table.h"

#include <dirent.h>
#include <signal.h>

#include <charconv>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/handle.h"
#include "base/text.h"

namespace sprite::agent {
namespace {

std::optional<pid_t> number(std::string_view text) {
  pid_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<pid_t> session_in_stat(std::string_view stat) {
  const std::size_t name_end = stat.rfind(')');  // the name may hold spaces and brackets of its own
  if (name_end == std::string_view::npos || name_end + 2 > stat.size()) return std::nullopt;
  const std::vector<std::string> fields = split(stat.substr(name_end + 2), ' ');
  if (fields.size() < 4) return std::nullopt;
  return number(fields[3]);
}

void signal_session(pid_t session, int number_of_signal) {
  const std::unique_ptr<DIR, Releaser<::closedir>> processes(::opendir("/proc"));
  if (!processes) {
    (void)::kill(-session, number_of_signal);
    return;
  }
  while (const dirent* entry = ::readdir(processes.get())) {
    const auto pid = number(entry->d_name);
    if (!pid) continue;
    const auto stat = read_file(Path("/proc") / entry->d_name / "stat", 64 * KiB);
    if (stat && session_in_stat(*stat) == session) (void)::kill(*pid, number_of_signal);
  }
}

}  // namespace sprite::agent
