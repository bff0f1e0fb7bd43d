#include "store/portable_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/crc32c.h"

namespace sprite::store {
namespace {

constexpr std::string_view magic = "SPRDISK\n";
constexpr std::uint32_t version = 1;
constexpr std::size_t header_bytes = 32, record_bytes = 16;

Error damaged(const Path& path, const std::string& why) {
  return Error{Error::Kind::corrupt, "'" + path.string() + "' is damaged: " + why};
}

}  // namespace

Bytes encode_portable_header(const PortableHeader& header) {
  Bytes bytes(header_bytes);
  std::ranges::copy(as_bytes(magic), bytes.begin());
  store_little(bytes.data() + 8, version);
  store_little(bytes.data() + 12, static_cast<std::uint32_t>(header.description.size()));
  store_little(bytes.data() + 16, header.size_bytes);
  const ByteView description = as_bytes(header.description);
  const std::uint32_t check = crc32c(crc32c(0, ByteView(bytes).first(24)), description);
  store_little(bytes.data() + 24, check);
  bytes.insert(bytes.end(), description.begin(), description.end());
  return bytes;
}

Bytes encode_portable_record(std::uint64_t chunk, std::uint32_t length, ByteView content) {
  Bytes bytes(record_bytes);
  store_little(bytes.data(), chunk);
  store_little(bytes.data() + 8, length);
  store_little(bytes.data() + 12, crc32c(crc32c(0, ByteView(bytes).first(12)), content));
  return bytes;
}

Result<PortableHeader> read_portable_header(const Path& path, int file) {
  Bytes bytes(header_bytes);
  if (!read_exactly(file, bytes) || as_text(ByteView(bytes).first(magic.size())) != magic)
    return Error{Error::Kind::corrupt,
                 "'" + path.string() + "' is not an exported sprite",
                 "give a file that `sprite export` wrote",
                 {}};
  if (load_little<std::uint32_t>(bytes.data() + 8) != version)
    return Error{Error::Kind::invalid,
                 "'" + path.string() + "' was made by a newer version of this program",
                 "update `sprite`",
                 {}};
  const auto description_bytes = load_little<std::uint32_t>(bytes.data() + 12);
  if (description_bytes > portable_description_bytes_max) return damaged(path, "its description is too long");
  Bytes description(description_bytes);
  if (!read_exactly(file, description)) return damaged(path, "it ends within its description");
  if (crc32c(crc32c(0, ByteView(bytes).first(24)), description) != load_little<std::uint32_t>(bytes.data() + 24))
    return damaged(path, "its header's checksum is wrong");
  PortableHeader header{load_little<std::uint64_t>(bytes.data() + 16), std::string(as_text(description))};
  if (header.size_bytes == 0 || header.size_bytes % block_bytes != 0 || header.size_bytes > map_bytes_max)
    return damaged(path, "the disk's size is impossible");
  return header;
}

Result<std::uint64_t> count_portable_chunks(const Path& path, int file) {
  const off_t begin = ::lseek(file, 0, SEEK_CUR);
  struct stat info {};
  if (begin < 0 || ::fstat(file, &info) != 0) return system_error("cannot look at '" + path.string() + "'");
  std::uint64_t chunks = 0, next = 0;
  Bytes head(record_bytes);
  for (off_t at = begin; at + static_cast<off_t>(record_bytes) <= info.st_size; ++chunks) {
    TRY(pread_exactly(file, head, static_cast<std::uint64_t>(at)));
    const auto chunk = load_little<std::uint64_t>(head.data());
    const auto length = load_little<std::uint32_t>(head.data() + 8);
    if (chunk == portable_end_mark || chunk < next || length > object_stored_bytes_max) break;
    next = chunk + 1;
    at += static_cast<off_t>(record_bytes + length);
  }
  return chunks;
}

Result<> read_portable_chunks(const Path& path, int file, std::uint64_t size_bytes, int image) {
  const std::uint64_t chunks = (size_bytes + chunk_bytes - 1) / chunk_bytes;
  std::uint64_t next = 0;
  Bytes head(record_bytes), frame, content(chunk_bytes);
  for (std::uint32_t count = 0;; ++count) {
    const std::string where = "chunk record " + std::to_string(count);
    if (!read_exactly(file, head)) return damaged(path, "it ends before " + where);
    const auto chunk = load_little<std::uint64_t>(head.data());
    const auto length = load_little<std::uint32_t>(head.data() + 8);
    const bool last = chunk == portable_end_mark;
    if (!last && (chunk < next || chunk >= chunks || length > object_stored_bytes_max))
      return damaged(path, where + " is impossible");
    frame.resize(last ? 0 : length);
    if (!read_exactly(file, frame)) return damaged(path, "it ends within " + where);
    if (crc32c(crc32c(0, ByteView(head).first(12)), frame) != load_little<std::uint32_t>(head.data() + 12))
      return damaged(path, where + " has a wrong checksum");
    if (last) return length == count ? Result<>() : damaged(path, "chunks are missing");
    const std::uint64_t wanted = std::min(chunk_bytes, size_bytes - chunk * chunk_bytes);
    const auto data = decompress_object(frame);
    if (!data) return damaged(path, "in " + where + ", " + data.error().what);
    if (data->size() != wanted) return damaged(path, where + " has the wrong size");
    TRY(pwrite_all(image, *data, chunk * chunk_bytes));
    next = chunk + 1;
  }
}

}  // namespace sprite::store
