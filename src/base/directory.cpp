#include "base/directory.h"

#include <sys/stat.h>

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

Path unfinished_name(const Path& file) { return file.parent_path() / ("." + file.filename().string() + ".unfinished"); }

std::uint64_t bytes_on_disk(const Path& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return 0;
  std::uint64_t bytes =
      S_ISREG(info.st_mode) && info.st_nlink == 1 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
  if (S_ISDIR(info.st_mode))
    for (const Path& each : entries_of(path)) bytes += bytes_on_disk(each);
  return bytes;
}

}  // namespace sprite
