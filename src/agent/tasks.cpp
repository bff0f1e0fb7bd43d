#include "agent/tasks.h"

#include <algorithm>

#include "agent/utf8.h"
#include "base/text.h"

namespace sprite::agent {
namespace {

constexpr std::size_t tasks_max = 1000, name_bytes_max = 200;
constexpr std::chrono::milliseconds time_max = std::chrono::hours(1);

Result<> check(const std::string& name, std::chrono::milliseconds time) {
  const bool printable = std::ranges::none_of(name, [](unsigned char c) { return c < ' ' || c == 127; });
  if (name.empty() || name.size() > name_bytes_max || !printable || to_utf8(name) != name)
    return Error{Error::Kind::invalid, "a task needs a name", "use up to 200 bytes of printable text", {}};
  if (time.count() <= 0 || time > time_max)
    return Error{Error::Kind::invalid,
                 "a task cannot last " + format_duration(time),
                 "say when it expires, from 1s to 1h; it can be renewed with PUT",
                 {}};
  return {};
}

}  // namespace

Result<wire::Task> Tasks::hold(const std::string& name, std::chrono::milliseconds time, IfTaken if_taken, Time now) {
  TRY(check(name, time));
  forget_expired(now);
  const auto found = holds_.find(name);
  if (found != holds_.end() && if_taken == IfTaken::refuse)
    return Error{Error::Kind::exists, "there is a task '" + name + "' already", "renew it with PUT", {}};
  if (found == holds_.end() && holds_.size() >= tasks_max)
    return Error{Error::Kind::no_space, "there are too many tasks", "delete some: at most 1000 are kept", {}};
  Hold& hold = holds_[name];
  if (found == holds_.end()) hold.started = now;
  hold.expires = now + time;
  return to_wire(name, hold);
}

std::optional<wire::Task> Tasks::find(const std::string& name, Time now) {
  forget_expired(now);
  const auto found = holds_.find(name);
  if (found == holds_.end()) return std::nullopt;
  return to_wire(name, found->second);
}

bool Tasks::remove(const std::string& name, Time now) {
  forget_expired(now);
  return holds_.erase(name) > 0;
}

wire::TaskList Tasks::list(Time now) {
  forget_expired(now);
  wire::TaskList all;
  for (const auto& [name, hold] : holds_) all.tasks.push_back(to_wire(name, hold));
  return all;
}

std::optional<wire::Task> Tasks::last(Time now) {
  forget_expired(now);
  const auto last =
      std::ranges::max_element(holds_, {}, [](const auto& each) -> const Time& { return each.second.expires; });
  if (last == holds_.end()) return std::nullopt;
  return to_wire(last->first, last->second);
}

wire::Task Tasks::to_wire(const std::string& name, const Hold& hold) {
  return {name, format_time(hold.started), format_time(hold.expires)};
}

void Tasks::forget_expired(Time now) {
  std::erase_if(holds_, [now](const auto& each) { return each.second.expires <= now; });
}

}  // namespace sprite::agent
