#include "cli/follow.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace sprite::cli {
namespace {

/// Prints from the current position to the end. Errors: as system_error.
Result<> print_rest(Terminal& terminal, int fd) {
  std::array<char, 64 * KiB> buffer;
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0) return system_error("cannot read the log");
    if (got == 0) return {};
    terminal.print({buffer.data(), static_cast<std::size_t>(got)});
  }
}

/// Moves to the begin of the first whole line within the last `limit_bytes`.
void seek_to_tail(int fd, std::size_t limit_bytes) {
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const off_t begin = size - static_cast<off_t>(limit_bytes);
  ::lseek(fd, begin > 0 ? begin - 1 : 0, SEEK_SET);
  char c = begin > 0 ? 0 : '\n';
  while (c != '\n' && ::read(fd, &c, 1) == 1) {
  }
}

bool is_same_file(int fd, const Path& path) {
  struct stat open {
  }, named{};
  return ::fstat(fd, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_ino == named.st_ino &&
         open.st_dev == named.st_dev;
}

}  // namespace

Result<> print_file(Terminal& terminal, const Path& path, std::size_t limit_bytes, Follow follow) {
  // Watching the directory sees appends and a new file of the name alike; watching begins before reading: nothing is
  // missed.
  const Fd watch(::inotify_init1(IN_CLOEXEC));
  if (!watch) return system_error("cannot watch '" + path.string() + "'");
  if (follow == Follow::yes &&
      ::inotify_add_watch(watch.get(), path.parent_path().c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
    return system_error("cannot watch '" + path.string() + "'");
  TRY_LET(Fd file, open_file(path, O_RDONLY));
  seek_to_tail(file.get(), limit_bytes);
  TRY(print_rest(terminal, file.get()));
  std::array<char, 4096> events;
  while (follow == Follow::yes && ::read(watch.get(), events.data(), events.size()) > 0) {
    TRY(print_rest(terminal, file.get()));
    if (is_same_file(file.get(), path)) continue;
    if (auto next = open_file(path, O_RDONLY)) {
      file = *std::move(next);
      TRY(print_rest(terminal, file.get()));
    }
  }
  return {};
}

}  // namespace sprite::cli
