#include "store/portable.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/crc32c.h"
#include "base/text.h"
#include "store/catalogue.h"

namespace sprite::store {
namespace {

constexpr std::string_view magic = "SPRDISK\n";
constexpr std::uint32_t version = 1;
constexpr std::size_t header_bytes = 32, record_bytes = 16;
constexpr std::size_t description_bytes_max = MiB;
constexpr std::uint64_t end_mark = ~std::uint64_t{0};

Error damaged(const Path& path, const std::string& why) {
  return Error{Error::Kind::corrupt, "'" + path.string() + "' is damaged: " + why};
}

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::byte each) { return each == std::byte{0}; });
}

/// A file that disappears unless it was kept.
class Unfinished {
 public:
  explicit Unfinished(Path path) : path_(std::move(path)) {}
  ~Unfinished() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Unfinished(const Unfinished&) = delete;
  void keep() { path_.clear(); }

 private:
  Path path_;
};

Bytes encode(const PortableHeader& header) {
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

/// A chunk's number, or the mark of the end with the number of chunks as length.
Bytes record(std::uint64_t chunk, std::uint32_t length, ByteView content) {
  Bytes bytes(record_bytes);
  store_little(bytes.data(), chunk);
  store_little(bytes.data() + 8, length);
  store_little(bytes.data() + 12, crc32c(crc32c(0, ByteView(bytes).first(12)), content));
  return bytes;
}

/// How many whole chunks from `offset` on read as zeros, as far as one look tells.
Result<std::uint64_t> zero_chunks(Volume& volume, std::uint64_t offset) {
  const std::uint64_t rest = volume.size_bytes() - offset;
  TRY_LET(const auto extents, volume.block_status(offset, rest, 1));
  const nbd::Extent& extent = extents.front();
  if (!extent.zero) return std::uint64_t{0};
  return (extent.length_bytes == rest ? extent.length_bytes + chunk_bytes - 1 : extent.length_bytes) / chunk_bytes;
}

/// Writes the chunks that are not all zeros, and the end mark.
Result<> write_chunks(Volume& volume, int file) {
  PackWriter writer;
  Bytes content(chunk_bytes);
  std::uint32_t written = 0;
  const std::uint64_t chunks = (volume.size_bytes() + chunk_bytes - 1) / chunk_bytes;
  for (std::uint64_t chunk = 0; chunk < chunks;) {
    const std::uint64_t offset = chunk * chunk_bytes;
    TRY_LET(const std::uint64_t zeros, zero_chunks(volume, offset));
    if (zeros > 0) {
      chunk += zeros;
      continue;
    }
    const MutableByteView part = MutableByteView(content).first(std::min(chunk_bytes, volume.size_bytes() - offset));
    TRY(volume.read(offset, part));
    if (!is_zero(part)) {
      TRY_LET(const ObjectPlace place, writer.add(part));
      const Bytes pack = writer.take();
      const ByteView frame = ByteView(pack).subspan(place.offset);
      TRY(write_all(file, record(chunk, place.length, frame)));
      TRY(write_all(file, frame));
      ++written;
    }
    ++chunk;
  }
  return write_all(file, record(end_mark, written, {}));
}

Result<PortableHeader> read_header(const Path& path, int file) {
  Bytes bytes(header_bytes);
  if (!read_exactly(file, bytes) || as_text(ByteView(bytes).first(magic.size())) != magic)
    return damaged(path, "it does not start like an exported disk");
  if (load_little<std::uint32_t>(bytes.data() + 8) != version)
    return Error{Error::Kind::invalid,
                 "'" + path.string() + "' was made by a newer version of this program",
                 "update `sprite`",
                 {}};
  const auto description_bytes = load_little<std::uint32_t>(bytes.data() + 12);
  if (description_bytes > description_bytes_max) return damaged(path, "its description is too long");
  Bytes description(description_bytes);
  if (!read_exactly(file, description)) return damaged(path, "it ends within its description");
  if (crc32c(crc32c(0, ByteView(bytes).first(24)), description) != load_little<std::uint32_t>(bytes.data() + 24))
    return damaged(path, "its header's checksum is wrong");
  PortableHeader header{load_little<std::uint64_t>(bytes.data() + 16), std::string(as_text(description))};
  if (header.size_bytes == 0 || header.size_bytes % block_bytes != 0 || header.size_bytes > volume_bytes_max)
    return damaged(path, "the disk's size is impossible");
  return header;
}

/// Opens a file to import: a pipe or a device would let us wait for ever.
Result<Fd> open_portable(const Path& path) {
  TRY_LET(Fd file, open_file(path, O_RDONLY | O_NONBLOCK));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("cannot look at '" + path.string() + "'");
  if (!S_ISREG(info.st_mode)) return Error{Error::Kind::invalid, "'" + path.string() + "' is not a file"};
  return file;
}

/// Looks over the records from the file's position on, which stays: whether what they hold fits into `directory`. A
/// small file can hold a disk of a terabyte, and a disk that is full stalls every sprite.
Result<> check_room(const Path& path, int file, const Path& directory) {
  const off_t begin = ::lseek(file, 0, SEEK_CUR);
  struct stat info {};
  struct statvfs space {};
  if (begin < 0 || ::fstat(file, &info) != 0) return system_error("cannot look at '" + path.string() + "'");
  if (::statvfs(directory.c_str(), &space) != 0) return system_error("cannot look at '" + directory.string() + "'");
  std::uint64_t chunks = 0, next = 0;
  Bytes head(record_bytes);
  for (off_t at = begin; at < info.st_size; ++chunks) {
    TRY(pread_exactly(file, head, static_cast<std::uint64_t>(at)));
    const auto chunk = load_little<std::uint64_t>(head.data());
    const auto length = load_little<std::uint32_t>(head.data() + 8);
    if (chunk == end_mark || chunk < next || length > object_stored_bytes_max)
      break;  // damage is read_chunks()'s to tell
    next = chunk + 1;
    at += static_cast<off_t>(record_bytes + length);
  }
  const std::uint64_t needed = chunks * chunk_bytes, free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (needed <= free_bytes) return {};
  return Error{Error::Kind::no_space, "the disk in '" + path.string() + "' takes " + format_size(needed) + ", and '" +
                                          directory.string() + "' has " + format_size(free_bytes) + " left"};
}

/// Writes the file's chunks into `image`.
Result<> read_chunks(const Path& path, int file, std::uint64_t size_bytes, const Fd& image) {
  const std::uint64_t chunks = (size_bytes + chunk_bytes - 1) / chunk_bytes;
  std::uint64_t next = 0;
  Bytes head(record_bytes), frame, content(chunk_bytes);
  for (std::uint32_t count = 0;; ++count) {
    const std::string where = "chunk record " + std::to_string(count);
    if (!read_exactly(file, head)) return damaged(path, "it ends before " + where);
    const auto chunk = load_little<std::uint64_t>(head.data());
    const auto length = load_little<std::uint32_t>(head.data() + 8);
    const bool last = chunk == end_mark;
    if (!last && (chunk < next || chunk >= chunks || length > object_stored_bytes_max))
      return damaged(path, where + " is impossible");
    frame.resize(last ? 0 : length);
    if (!read_exactly(file, frame)) return damaged(path, "it ends within " + where);
    if (crc32c(crc32c(0, ByteView(head).first(12)), frame) != load_little<std::uint32_t>(head.data() + 12))
      return damaged(path, where + " has a wrong checksum");
    if (last) return length == count ? Result<>() : damaged(path, "chunks are missing");
    const std::uint64_t wanted = std::min(chunk_bytes, size_bytes - chunk * chunk_bytes);
    TRY_LET(const Bytes data, decompress_object(frame));
    if (data.size() != wanted) return damaged(path, where + " has the wrong size");
    TRY(pwrite_all(image.get(), data, chunk * chunk_bytes));
    next = chunk + 1;
  }
}

}  // namespace

Result<> export_volume(Volume& volume, const std::string& description, const Path& path) {
  if (description.size() > description_bytes_max)
    return Error{Error::Kind::invalid, "the description of an exported disk may have at most 1 MiB"};
  TRY_LET(const Fd file, open_file(path, O_WRONLY | O_CREAT | O_EXCL));
  Unfinished unfinished(path);
  TRY(write_all(file.get(), encode({volume.size_bytes(), description})));
  TRY(write_chunks(volume, file.get()));
  if (::fsync(file.get()) != 0) return system_error("cannot make '" + path.string() + "' durable");
  TRY(sync_directory(path.has_parent_path() ? path.parent_path() : Path(".")));
  unfinished.keep();
  return {};
}

Result<PortableHeader> read_portable_header(const Path& path) {
  TRY_LET(const Fd file, open_portable(path));
  return read_header(path, file.get());
}

Result<PortableHeader> import_volume(const Path& path, const Path& directory) {
  TRY_LET(const Fd file, open_portable(path));
  TRY_LET(PortableHeader header, read_header(path, file.get()));
  TRY(check_room(path, file.get(), directory));
  const Path image_path = directory / "imported.img";
  TRY_LET(const Fd image, open_file(image_path, O_RDWR | O_CREAT | O_EXCL));
  Unfinished unfinished(image_path);  // the volume links it
  if (::ftruncate(image.get(), static_cast<off_t>(header.size_bytes)) != 0)
    return system_error("cannot size the imported disk");
  TRY(read_chunks(path, file.get(), header.size_bytes, image));
  if (::fsync(image.get()) != 0) return system_error("cannot make the imported disk durable");
  TRY(Volume::create(directory, image_path, header.size_bytes));
  return header;
}

}  // namespace sprite::store
