#include "wire/activity.h"

#include "base/text.h"

namespace sprite::wire {
namespace {

constexpr std::string_view begin = "task '", before_end = "' until ";

}  // namespace

std::string activity_of(const Task& task) {
  return std::string(begin).append(task.name).append(before_end).append(task.expires_at);
}

std::optional<Held> held(const std::string& activity) {
  const auto end = activity.rfind(before_end);
  if (!activity.starts_with(begin) || end == std::string::npos) return std::nullopt;
  const auto until = parse_time(activity.substr(end + before_end.size()));
  if (!until) return std::nullopt;
  return Held{activity.substr(0, end + 1), *until};
}

}  // namespace sprite::wire
