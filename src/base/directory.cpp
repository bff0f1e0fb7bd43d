#include "base/directory.h"

#include <algorithm>

namespace sprite {

Result<std::vector<Path>> list_directory(const Path& directory) {
  std::vector<Path> found;
  std::error_code failed;
  for (std::filesystem::directory_iterator each(directory, failed), end; !failed && each != end; each.increment(failed))
    found.push_back(each->path());
  if (failed) return system_error("cannot list '" + directory.string() + "'", failed.value());
  std::ranges::sort(found);
  return found;
}

std::vector<Path> entries_of(const Path& directory) {
  auto listed = list_directory(directory);
  return listed ? *std::move(listed) : std::vector<Path>();
}

}  // namespace sprite
