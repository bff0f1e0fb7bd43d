#include "vm/console_log.h"

#include <sys/stat.h>
#include <unistd.h>

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

}  // namespace sprite::vm
