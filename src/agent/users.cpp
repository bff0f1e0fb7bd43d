#include "agent/users.h"

#include <charconv>

#include "base/text.h"

namespace sprite::agent {
namespace {

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// A line of passwd: name, password, uid, gid, comment, home, shell.
std::optional<User> parse_user(const std::string& line) {
  const std::vector<std::string> fields = split(line, ':');
  if (fields.size() < 7) return std::nullopt;
  const auto uid = number<uid_t>(fields[2]);
  const auto gid = number<gid_t>(fields[3]);
  if (!uid || !gid) return std::nullopt;
  return User{fields[0], *uid, *gid, fields[5].empty() ? "/" : fields[5], fields[6].empty() ? "/bin/sh" : fields[6],
              {}};
}

/// Lines of group: name, password, gid, members with commas.
std::vector<gid_t> groups_of(std::string_view group, const std::string& name) {
  std::vector<gid_t> found;
  for (const std::string& line : split(group, '\n')) {
    const std::vector<std::string> fields = split(line, ':');
    if (fields.size() < 4) continue;
    const auto gid = number<gid_t>(fields[2]);
    const std::vector<std::string> members = split(fields[3], ',');
    if (gid && std::find(members.begin(), members.end(), name) != members.end()) found.push_back(*gid);
  }
  return found;
}

template <class Wanted>
std::optional<User> find(std::string_view passwd, std::string_view group, const Wanted& wanted) {
  for (const std::string& line : split(passwd, '\n')) {
    std::optional<User> user = parse_user(line);
    if (!user || !wanted(*user)) continue;
    user->groups = groups_of(group, user->name);
    return user;
  }
  return std::nullopt;
}

}  // namespace

std::optional<User> find_user(std::string_view passwd, std::string_view group, std::string_view name) {
  return find(passwd, group, [&](const User& user) { return user.name == name; });
}

std::optional<User> find_user(std::string_view passwd, std::string_view group, uid_t uid) {
  return find(passwd, group, [&](const User& user) { return user.uid == uid; });
}

}  // namespace sprite::agent
