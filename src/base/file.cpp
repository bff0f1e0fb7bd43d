#include "base/file.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace sprite {
namespace {

std::string quoted(const Path& path) { return "'" + path.string() + "'"; }

/// A temporary file that is unlinked unless it was renamed to its final name.
class Temporary {
 public:
  explicit Temporary(Path path) : path_(std::move(path)) {}
  ~Temporary() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Temporary(Temporary&&) = delete;
  Result<> rename_to(const Path& target) {
    if (::rename(path_.c_str(), target.c_str()) != 0) return system_error("cannot replace " + quoted(target));
    path_.clear();
    return {};
  }

 private:
  Path path_;
};

}  // namespace

Result<Fd> open_file(const Path& path, int flags, mode_t mode) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
  if (!fd) return system_error("cannot open " + quoted(path));
  return fd;
}

Result<Fd> open_regular_file(const Path& path) {
  const auto refused = [&] { return Error{Error::Kind::invalid, quoted(path) + " is not a regular file", "", {}}; };
  Fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd && (errno == ELOOP || errno == ENXIO)) return refused();  // a symbolic link, a socket
  if (!fd) return system_error("cannot open " + quoted(path));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error("cannot look at " + quoted(path));
  if (!S_ISREG(info.st_mode)) return refused();
  return fd;
}

Result<std::string> read_file(const Path& path, std::size_t limit_bytes) {
  TRY_LET(const Fd fd, open_file(path, O_RDONLY));
  return read_file(fd, path, limit_bytes);
}

Result<std::string> read_file(const Fd& fd, const Path& path, std::size_t limit_bytes) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read " + quoted(path));
    if (got == 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
    if (text.size() > limit_bytes)
      return Error{Error::Kind::invalid, quoted(path) + " is larger than " + std::to_string(limit_bytes) + " bytes"};
  }
}

Result<> write_file_atomically(const Path& path, std::string_view text, mode_t mode) {
  const Path temporary_path = path.string() + "." + std::to_string(::getpid()) + ".tmp";
  Temporary temporary(temporary_path);
  TRY_LET(const Fd fd, open_file(temporary_path, O_WRONLY | O_CREAT | O_TRUNC, mode));
  if (auto written = write_all(fd.get(), as_bytes(text)); !written)
    return std::move(written).error().within("cannot write " + quoted(path));
  if (::fsync(fd.get()) != 0) return system_error("cannot make " + quoted(path) + " durable");
  TRY(temporary.rename_to(path));
  return sync_directory(path.has_parent_path() ? path.parent_path() : Path("."));
}

Result<> make_directories(const Path& path) {
  if (path.empty() || ::access(path.c_str(), F_OK) == 0) return {};
  TRY(make_directories(path.parent_path()));
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return system_error("cannot make directory " + quoted(path));
  return {};
}

Result<> make_private_directory(const Path& path) {
  TRY(make_directories(path));
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return system_error("cannot look at directory " + quoted(path));
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 0077) != 0)
    return Error{Error::Kind::denied,
                 "directory " + quoted(path) + " is not private to us",
                 "remove it if it is not yours, or run `chmod 0700 " + path.string() + "` if it is",
                 {}};
  return {};
}

Result<> sync_directory(const Path& path) {
  TRY_LET(const Fd fd, open_file(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return system_error("cannot make directory " + quoted(path) + " durable");
  return {};
}

Result<> remove_tree(const Path& path) {
  std::error_code failed;
  std::filesystem::remove_all(path, failed);
  if (failed) return system_error("cannot remove " + quoted(path), failed.value());
  return {};
}

Result<std::optional<FileLock>> FileLock::try_take(const Path& path) {
  TRY_LET(Fd fd, open_file(path, O_RDWR | O_CREAT));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::optional<FileLock>{};
    return system_error("cannot lock " + quoted(path));
  }
  return std::optional<FileLock>(FileLock(std::move(fd)));
}

Result<FileLock> FileLock::take(const Path& path) {
  TRY_LET(Fd fd, open_file(path, O_RDWR | O_CREAT));
  while (::flock(fd.get(), LOCK_EX) != 0)
    if (errno != EINTR) return system_error("cannot lock " + quoted(path));
  return FileLock(std::move(fd));
}

}  // namespace sprite
