#include "image/sparse.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sprite::image {
namespace {

constexpr std::size_t copy_block_bytes = 64 * KiB;

bool all_zero(ByteView block) {
  return block.empty() ||
         (block[0] == std::byte{0} && std::memcmp(block.data(), block.data() + 1, block.size() - 1) == 0);
}

/// The next offset at or after `from` that may hold data; `size` if there is none.
std::uint64_t next_data(int fd, std::uint64_t from, std::uint64_t size) {
  const off_t found = ::lseek(fd, static_cast<off_t>(from), SEEK_DATA);
  if (found >= 0) return static_cast<std::uint64_t>(found);
  return errno == ENXIO ? size : from;  // a file system without SEEK_DATA: everything may be data
}

}  // namespace

Result<std::uint64_t> size_of(const Fd& fd, const Path& path) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_error("cannot look at '" + path.string() + "'");
  return static_cast<std::uint64_t>(info.st_size);
}

Result<std::uint64_t> allocated_bytes(const Path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return system_error("cannot look at '" + path.string() + "'");
  return static_cast<std::uint64_t>(info.st_blocks) * 512;
}

Result<> for_each_data_block(const Fd& fd, std::size_t block_bytes,
                             const std::function<Result<>(std::uint64_t offset, ByteView block)>& visit) {
  TRY_LET(const std::uint64_t size, size_of(fd, "disk image"));
  Bytes buffer(block_bytes);
  std::uint64_t at = 0;
  while ((at = next_data(fd.get(), at, size)) < size) {
    at -= at % block_bytes;
    const auto block = MutableByteView(buffer).first(std::min<std::uint64_t>(block_bytes, size - at));
    TRY(pread_exactly(fd.get(), block, at));
    if (!all_zero(block)) TRY(visit(at, block));
    at += block_bytes;
  }
  return {};
}

Result<> clone_file(const Path& from, const Path& to, Linking linking) {
  TRY_LET(const Fd source, open_regular_file(from));
  if (linking == Linking::allowed && ::link(from.c_str(), to.c_str()) == 0) {
    if (::fsync(source.get()) != 0) return system_error("cannot make '" + to.string() + "' durable");
    return {};
  }
  TRY_LET(const std::uint64_t size, size_of(source, from));
  TRY_LET(const Fd copy, open_file(to, O_WRONLY | O_CREAT | O_EXCL, 0600));
  const auto failed = [&](Error error) { return std::move(error).within("cannot copy '" + from.string() + "'"); };
  if (::ioctl(copy.get(), FICLONE, source.get()) != 0) {
    if (::ftruncate(copy.get(), static_cast<off_t>(size)) != 0)
      return failed(system_error("cannot set the copy's size"));
    auto copied = for_each_data_block(source, copy_block_bytes, [&](std::uint64_t offset, ByteView block) {
      return pwrite_all(copy.get(), block, offset);
    });
    if (!copied) return failed(std::move(copied).error());
  }
  if (::fsync(copy.get()) != 0) return failed(system_error("cannot make the copy durable"));
  return {};
}

}  // namespace sprite::image
