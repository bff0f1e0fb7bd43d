#include "vm/console_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sprite::vm {
namespace {

/// Keeps `keep_bytes` at the end by writing them again.
Result<> rewrite(const Fd& file, std::uint64_t size, std::uint64_t keep_bytes) {
  Bytes kept(keep_bytes);
  TRY(pread_exactly(file.get(), kept, size - keep_bytes));
  if (::ftruncate(file.get(), 0) != 0) return system_error("cannot cut the console's log");
  return write_all(file.get(), kept);
}

}  // namespace

Result<> trim_console(const Path& log, std::uint64_t limit_bytes) {
  auto file = open_file(log, O_RDWR | O_APPEND | O_NOFOLLOW);
  if (!file && file.error().kind == Error::Kind::not_found) return {};
  if (!file) return std::move(file).error();
  struct stat info {};
  if (::fstat(file->get(), &info) != 0) return system_error("cannot look at the console's log");
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size <= limit_bytes) return {};
  const auto block = static_cast<std::uint64_t>(info.st_blksize);
  const std::uint64_t dropped = (size - limit_bytes / 2) / block * block;
  if (dropped == 0) return {};
  if (::fallocate(file->get(), FALLOC_FL_COLLAPSE_RANGE, 0, static_cast<off_t>(dropped)) == 0) return {};
  return rewrite(*file, size, size - dropped);
}

Result<std::string> console_tail(const Path& log, std::uint64_t limit_bytes) {
  TRY_LET(const Fd file, open_file(log, O_RDONLY | O_NOFOLLOW));
  const off_t size = ::lseek(file.get(), 0, SEEK_END);
  if (size < 0) return system_error("cannot look at the console's log");
  const auto limit = static_cast<off_t>(limit_bytes);
  if (::lseek(file.get(), std::max(off_t{0}, size - limit), SEEK_SET) < 0)
    return system_error("cannot look at the console's log");
  std::string text(static_cast<std::size_t>(std::min(size, limit)), '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read the console's log");
    if (got == 0) break;  // it was trimmed meanwhile
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

}  // namespace sprite::vm
