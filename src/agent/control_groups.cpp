#include "agent/control_groups.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"

namespace sprite::agent {
namespace {

Result<> put(const Path& path, std::string_view text) {
  TRY_LET(const Fd file, open_file(path, O_WRONLY));
  return write_all(file.get(), as_bytes(text));
}

}  // namespace

Result<> hand_down_controllers(const Path& group) {
  TRY_LET(const std::string controllers, read_file(group / "cgroup.controllers", 4096));
  for (const std::string& controller : split(trim(controllers), ' '))
    if (!controller.empty()) (void)put(group / "cgroup.subtree_control", "+" + controller);
  return {};
}

Result<> remove_group(const Path& group) {
  std::vector<Path> below;
  std::error_code failed;
  for (std::filesystem::directory_iterator each(group, failed), end; !failed && each != end; each.increment(failed))
    if (std::error_code ignored; each->is_directory(ignored)) below.push_back(each->path());
  for (const Path& each : below) TRY(remove_group(each));
  if (::rmdir(group.c_str()) != 0 && errno != ENOENT)
    return system_error("cannot remove control group '" + group.string() + "'");
  return {};
}

Result<> enter_group(const Path& group, const std::string& name) {
  const Path own = group / name;
  if (::mkdir(own.c_str(), 0755) != 0 && errno != EEXIST)
    return system_error("cannot make control group '" + name + "'");
  return put(own / "cgroup.procs", "0");
}

}  // namespace sprite::agent
