#include "agent/tree_comparison.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <map>

#include "agent/utf8.h"
#include "base/bytes.h"
#include "base/handle.h"

namespace sprite::agent {
namespace {

constexpr std::size_t differences_enough = 500, visits_enough = 5000;
constexpr int folder_flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
/// Not to be held up by a FIFO that took a file's place.
constexpr int file_flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

using Directory = std::unique_ptr<DIR, Releaser<::closedir>>;

Result<std::vector<std::string>> names_in(const Fd& folder) {
  std::vector<std::string> names;
  if (!folder) return names;
  Fd copy(::openat(folder.get(), ".", folder_flags));
  const Directory directory(copy ? ::fdopendir(copy.get()) : nullptr);
  if (!directory) return system_error("cannot list a folder");
  (void)copy.release();
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get()))
    if (const std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
  if (errno != 0) return system_error("cannot list a folder");
  std::ranges::sort(names);
  return names;
}

/// What is not there any more is nothing.
Result<std::optional<struct stat>> look_at(const Fd& folder, const std::string& name) {
  struct stat info {};
  if (::fstatat(folder.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return std::optional(info);
  if (errno == ENOENT) return std::optional<struct stat>();
  return system_error("cannot look at '" + name + "'");
}

bool same_time(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

/// A file that is written before and after a checkpoint has two times of change: between them its filesystem stood
/// still for longer than the clock's step.
bool plainly_equal(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_mode == b.st_mode && a.st_size == b.st_size && same_time(a.st_ctim, b.st_ctim) &&
         same_time(a.st_mtim, b.st_mtim);
}

/// "/proc/self/fd/N/name": what has no call that takes a folder.
std::string reached(const Fd& folder, const std::string& name) {
  return "/proc/self/fd/" + std::to_string(folder.get()) + "/" + name;
}

std::string link_target(const Fd& folder, const std::string& name) {
  std::string target(4096, '\0');
  const ssize_t length = ::readlinkat(folder.get(), name.c_str(), target.data(), target.size());
  target.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
  return target;
}

std::map<std::string, std::string> attributes(const std::string& path) {
  std::map<std::string, std::string> all;
  std::string names(64 * KiB, '\0');
  const ssize_t length = ::llistxattr(path.c_str(), names.data(), names.size());
  for (ssize_t at = 0; at < length;) {
    const std::string name = names.c_str() + at;
    std::string value(64 * KiB, '\0');
    const ssize_t size = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    value.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    all[name] = std::move(value);
    at += static_cast<ssize_t>(name.size()) + 1;
  }
  return all;
}

/// The next offset from `at` on that is not in a hole; the end if there is none.
std::uint64_t next_data(const Fd& file, std::uint64_t at, std::uint64_t end) {
  const off_t found = ::lseek(file.get(), static_cast<off_t>(at), SEEK_DATA);
  return found < 0 ? end : std::min(static_cast<std::uint64_t>(found), end);
}

Result<bool> same_content(const Fd& first, const Fd& second, std::uint64_t bytes, const std::atomic<bool>& stopped) {
  constexpr std::size_t piece = 256 * KiB;
  Bytes a(piece), b(piece);
  std::uint64_t at = 0;
  for (;;) {
    at = std::min(next_data(first, at, bytes), next_data(second, at, bytes));
    if (at >= bytes) return true;
    if (stopped) return true;  // next() says so
    const std::size_t count = std::min<std::uint64_t>(piece, bytes - at);
    const MutableByteView left = MutableByteView(a).first(count), right = MutableByteView(b).first(count);
    TRY(pread_exactly(first.get(), left, at));
    TRY(pread_exactly(second.get(), right, at));
    if (!std::ranges::equal(left, right)) return false;
    at += count;
  }
}

}  // namespace

Result<std::unique_ptr<TreeComparison>> TreeComparison::begin(const Path& first, const Path& second,
                                                              std::shared_ptr<const std::atomic<bool>> stopped,
                                                              std::shared_ptr<void> keeps) {
  std::unique_ptr<TreeComparison> comparison(new TreeComparison(std::move(stopped), std::move(keeps)));
  TRY_LET(Fd a, open_file(first, folder_flags));
  TRY_LET(Fd b, open_file(second, folder_flags));
  TRY(comparison->enter(std::move(a), std::move(b), "/"));
  return comparison;
}

/// Puts both lists of names together.
Result<> TreeComparison::enter(Fd first, Fd second, std::string path) {
  if (path.size() > PATH_MAX) return Error{Error::Kind::unavailable, "folders lie too deep in each other"};
  TRY_LET(const auto in_first, names_in(first));
  TRY_LET(const auto in_second, names_in(second));
  Level level{std::move(first), std::move(second), std::move(path), {}};
  auto a = in_first.begin(), b = in_second.begin();
  while (a != in_first.end() || b != in_second.end()) {
    if (b == in_second.end() || (a != in_first.end() && *a < *b)) {
      level.names.push_back({*a++, Side::first});
    } else if (a == in_first.end() || *b < *a) {
      level.names.push_back({*b++, Side::second});
    } else {
      level.names.push_back({*a++, Side::both});
      ++b;
    }
  }
  levels_.push_back(std::move(level));
  return {};
}

Result<std::vector<wire::Difference>> TreeComparison::next() {
  for (std::size_t visits = 0; !levels_.empty() && visits < visits_enough && found_.size() < differences_enough;
       ++visits) {
    if (*stopped_) return Error{Error::Kind::unavailable, "the disk is being unmounted", "compare again", {}};
    Level& level = levels_.back();
    if (level.at == level.names.size()) {
      levels_.pop_back();
      continue;
    }
    const Name name = level.names[level.at++];
    TRY(visit(level, name));
  }
  if (*stopped_) return Error{Error::Kind::unavailable, "the disk is being unmounted", "compare again", {}};
  return std::exchange(found_, {});
}

void TreeComparison::tell(const char* change, const std::string& path) { found_.push_back({change, to_utf8(path)}); }

/// `level` may move as soon as another is entered.
Result<> TreeComparison::visit(const Level& level, const Name& name) {
  if (name.side == Side::both) return visit_both(level, name.text);
  const bool added = name.side == Side::second;
  const Fd& folder = added ? level.second : level.first;
  TRY_LET(const auto info, look_at(folder, name.text));
  if (!info) return {};
  const std::string path = level.path + name.text;
  tell(added ? "A" : "D", path);
  if (!S_ISDIR(info->st_mode)) return {};
  Fd inner(::openat(folder.get(), name.text.c_str(), folder_flags));
  if (!inner) return {};  // it went meanwhile
  return added ? enter(Fd(), std::move(inner), path + "/") : enter(std::move(inner), Fd(), path + "/");
}

Result<> TreeComparison::visit_both(const Level& level, const std::string& name) {
  TRY_LET(const auto a, look_at(level.first, name));
  TRY_LET(const auto b, look_at(level.second, name));
  if (!a && !b) return {};
  if (!a || !b) return visit(level, {name, a ? Side::first : Side::second});
  const std::string path = level.path + name;
  const auto type = [](const struct stat& info) { return info.st_mode & S_IFMT; };
  if (type(*a) != type(*b)) {
    tell("M", path);
    Fd was(S_ISDIR(a->st_mode) ? ::openat(level.first.get(), name.c_str(), folder_flags) : -1);
    Fd is(S_ISDIR(b->st_mode) ? ::openat(level.second.get(), name.c_str(), folder_flags) : -1);
    if (was || is) return enter(std::move(was), std::move(is), path + "/");
    return {};
  }
  const bool doubtful = !plainly_equal(*a, *b);
  bool same = true;
  if (doubtful) {
    same = a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid &&
           attributes(reached(level.first, name)) == attributes(reached(level.second, name));
    if (same && S_ISLNK(a->st_mode)) same = link_target(level.first, name) == link_target(level.second, name);
    if (same && (S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode))) same = a->st_rdev == b->st_rdev;
    if (same && S_ISREG(a->st_mode)) same = a->st_size == b->st_size;
  }
  if (doubtful && same && S_ISREG(a->st_mode)) {
    const Fd was(::openat(level.first.get(), name.c_str(), file_flags));
    const Fd is(::openat(level.second.get(), name.c_str(), file_flags));
    if (was && is) {
      TRY_LET(same, same_content(was, is, static_cast<std::uint64_t>(a->st_size), *stopped_));
    }
  }
  if (!same) tell("M", path);
  if (!S_ISDIR(a->st_mode)) return {};
  Fd was(::openat(level.first.get(), name.c_str(), folder_flags));
  Fd is(::openat(level.second.get(), name.c_str(), folder_flags));
  if (!was && !is) return {};
  return enter(std::move(was), std::move(is), path + "/");
}

}  // namespace sprite::agent
