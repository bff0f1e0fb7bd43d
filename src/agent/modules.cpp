#include "agent/modules.h"

#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"

namespace sprite::agent {
namespace {

std::string module_name(const std::string& path) {
  std::string name = Path(path).filename().string();
  name = name.substr(0, name.find('.'));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace

ModuleIndex parse_modules_dep(std::string_view text) {
  ModuleIndex index;
  for (const std::string& line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    ModuleIndex::Module module{line.substr(0, colon), {}};
    for (const std::string& needed : split(line.substr(colon + 1), ' '))
      if (!needed.empty()) module.needs_paths.push_back(needed);
    const std::string name = module_name(module.path);
    index.by_name[name] = std::move(module);
  }
  return index;
}

Result<Modules> Modules::open() {
  utsname kernel{};
  if (::uname(&kernel) != 0) return system_error("cannot ask for the kernel's version");
  const Path folder = Path("/lib/modules") / kernel.release;
  TRY_LET(const std::string text, read_file(folder / "modules.dep"));
  return Modules(folder, parse_modules_dep(text));
}

Result<> Modules::load(const std::string& name) {
  const auto found = index_.by_name.find(name);
  if (found == index_.by_name.end()) return {};
  const auto& needs = found->second.needs_paths;
  for (auto needed = needs.rbegin(); needed != needs.rend(); ++needed) TRY(insert(*needed));
  return insert(found->second.path);
}

std::vector<std::string> Modules::load_the_rest() {
  std::vector<std::string> failed;
  for (const auto& [name, module] : index_.by_name)
    if (!load(name)) failed.push_back(name);
  return failed;
}

Result<> Modules::insert(const std::string& path) {
  if (!loaded_.emplace(path, true).second) return {};
  TRY_LET(const Fd file, open_file(folder_ / path, O_RDONLY));
  if (::syscall(SYS_finit_module, file.get(), "", 0) != 0 && errno != EEXIST)
    return system_error("cannot load module '" + path + "'");
  return {};
}

}  // namespace sprite::agent
