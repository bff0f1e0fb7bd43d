#pragma once
/// Whole files: open, read, write atomically, make private directories, lock.
#include <fcntl.h>

#include <filesystem>
#include <optional>
#include <string>

#include "base/fd.h"

namespace sprite {

using Path = std::filesystem::path;

/// Opens `path` (O_CLOEXEC is added). Errors: as system_error.
Result<Fd> open_file(const Path& path, int flags, mode_t mode = 0600);
/// Opens `path` for reading if it is a regular file and no link, without waiting for anybody (as a FIFO would).
/// Errors: invalid (it is something else), as system_error.
Result<Fd> open_regular_file(const Path& path);
/// The whole file as text, at most `limit_bytes`. Errors: as system_error; invalid (larger than the limit).
Result<std::string> read_file(const Path& path, std::size_t limit_bytes = 64 * MiB);
/// The same of a file that was opened; `path` is for the error's text.
Result<std::string> read_file(const Fd& fd, const Path& path, std::size_t limit_bytes = 64 * MiB);
/// Replaces `path` by `text`: durable, and after a crash either the old content or the new. Errors: as system_error.
Result<> write_file_atomically(const Path& path, std::string_view text, mode_t mode = 0600);
/// Makes `path` and its missing parents (mode 0700 each). Errors: as system_error.
Result<> make_directories(const Path& path);
/// As make_directories, and makes sure that `path` is a real directory of ours that nobody else may enter.
/// Errors: denied (another user's, a link, or open to others), as system_error.
Result<> make_private_directory(const Path& path);
/// Makes the entries of directory `path` durable (fsync). Errors: as system_error.
Result<> sync_directory(const Path& path);
/// Removes `path` and everything below; an absent one is fine. Errors: as system_error.
Result<> remove_tree(const Path& path);

/// An exclusive lock on a file (flock), held until destroyed or the process ends.
class FileLock {
 public:
  /// Takes the lock now, or nothing if another process holds it. Errors: as system_error.
  static Result<std::optional<FileLock>> try_take(const Path& path);
  /// Takes the lock, waiting for it. Errors: as system_error.
  static Result<FileLock> take(const Path& path);
  int fd() const { return fd_.get(); }

 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace sprite
