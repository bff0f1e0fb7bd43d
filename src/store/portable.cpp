#include "store/portable.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/directory.h"
#include "base/text.h"
#include "store/catalogue.h"

namespace sprite::store {
namespace {

constexpr std::uint64_t look_bytes = 64 * MiB;

bool is_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::byte each) { return each == std::byte{0}; });
}

/// A name that disappears.
class Unfinished {
 public:
  explicit Unfinished(Path path) : path_(std::move(path)) {}
  ~Unfinished() { ::unlink(path_.c_str()); }
  Unfinished(const Unfinished&) = delete;

 private:
  Path path_;
};

Error exists_already(const Path& path) {
  return Error{
      Error::Kind::exists, "'" + path.string() + "' exists already", "name another file, or remove it first", {}};
}

/// The file `part` gets its name, and never over a file that appeared meanwhile where a file can have two names.
Result<> give_name(const Path& part, const Path& path) {
  if (::link(part.c_str(), path.c_str()) == 0) return {};
  if (errno == EEXIST) return exists_already(path);
  const bool has_no_links = errno == EPERM || errno == EOPNOTSUPP;
  if (!has_no_links || ::rename(part.c_str(), path.c_str()) != 0)
    return system_error("cannot make '" + path.string() + "'");
  return {};
}

/// So many chunks, which read as zeros or may hold data.
struct Stretch {
  bool zero = false;
  std::uint64_t chunks = 1;
};

/// What one look tells of the chunks from `offset` on. It looks a little ahead only, since each look goes through the
/// states of all blocks in sight.
Result<Stretch> look_ahead(Volume& volume, std::uint64_t offset) {
  const std::uint64_t rest = volume.size_bytes() - offset, in_sight = std::min(rest, look_bytes);
  TRY_LET(const auto extents, volume.block_status(offset, in_sight, 1));
  const nbd::Extent& extent = extents.front();
  const bool whole = !extent.zero || extent.length_bytes == rest;  // the last chunk of a stretch counts, too
  const std::uint64_t chunks = (extent.length_bytes + (whole ? chunk_bytes - 1 : 0)) / chunk_bytes;
  return chunks > 0 ? Stretch{extent.zero, chunks} : Stretch{};
}

/// Writes the chunks that are not all zeros, and the end mark.
Result<> write_chunks(Volume& volume, int file) {
  PackWriter writer;
  Bytes content(chunk_bytes);
  std::uint32_t written = 0;
  const std::uint64_t chunks = (volume.size_bytes() + chunk_bytes - 1) / chunk_bytes;
  std::uint64_t with_data_until = 0;
  for (std::uint64_t chunk = 0; chunk < chunks;) {
    const std::uint64_t offset = chunk * chunk_bytes;
    if (chunk >= with_data_until) {
      TRY_LET(const Stretch stretch, look_ahead(volume, offset));
      if (stretch.zero) {
        chunk += stretch.chunks;
        continue;
      }
      with_data_until = chunk + stretch.chunks;
    }
    const MutableByteView part = MutableByteView(content).first(std::min(chunk_bytes, volume.size_bytes() - offset));
    TRY(volume.read(offset, part));
    if (!is_zero(part)) {
      TRY_LET(const ObjectPlace place, writer.add(part));
      const Bytes pack = writer.take();
      const ByteView frame = ByteView(pack).subspan(place.offset);
      TRY(write_all(file, encode_portable_record(chunk, place.length, frame)));
      TRY(write_all(file, frame));
      ++written;
    }
    ++chunk;
  }
  return write_all(file, encode_portable_record(portable_end_mark, written, {}));
}

/// Opens a file to import: a pipe or a device would let us wait for ever.
Result<Fd> open_portable(const Path& path) {
  TRY_LET(Fd file, open_file(path, O_RDONLY | O_NONBLOCK));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("cannot look at '" + path.string() + "'");
  if (!S_ISREG(info.st_mode)) return Error{Error::Kind::invalid, "'" + path.string() + "' is not a file"};
  return file;
}

/// Whether what the file's records hold fits into `directory`. A small file can hold a disk of a terabyte, and a disk
/// that is full stalls every sprite.
Result<> check_room(const Path& path, int file, const Path& directory) {
  struct statvfs space {};
  if (::statvfs(directory.c_str(), &space) != 0) return system_error("cannot look at '" + directory.string() + "'");
  TRY_LET(const std::uint64_t chunks, count_portable_chunks(path, file));
  const std::uint64_t needed = chunks * chunk_bytes, free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (needed <= free_bytes) return {};
  return Error{Error::Kind::no_space, "the disk in '" + path.string() + "' takes " + format_size(needed) + ", and '" +
                                          directory.string() + "' has " + format_size(free_bytes) + " left"};
}

}  // namespace

Result<> export_volume(Volume& volume, const std::string& description, const Path& path) {
  if (description.size() > portable_description_bytes_max)
    return Error{Error::Kind::invalid, "the description of an exported disk may have at most 1 MiB"};
  if (::access(path.c_str(), F_OK) == 0) return exists_already(path);
  if (const Path folder = path.parent_path(); !folder.empty() && ::access(folder.c_str(), W_OK | X_OK) != 0)
    return system_error("cannot write to the folder '" + folder.string() + "'");
  const Path part = unfinished_name(path);
  TRY_LET(const std::optional<FileLock> file, FileLock::try_take(part));  // one that was killed left it unlocked
  if (!file) return Error{Error::Kind::busy, "'" + path.string() + "' is being written already"};
  const Unfinished unfinished(part);
  if (::ftruncate(file->fd(), 0) != 0) return system_error("cannot write '" + part.string() + "'");
  TRY(write_all(file->fd(), encode_portable_header({volume.size_bytes(), description})));
  TRY(write_chunks(volume, file->fd()));
  if (::fsync(file->fd()) != 0) return system_error("cannot make '" + path.string() + "' durable");
  TRY(give_name(part, path));
  return sync_directory(path.has_parent_path() ? path.parent_path() : Path("."));
}

Result<PortableHeader> read_portable_header(const Path& path) {
  TRY_LET(const Fd file, open_portable(path));
  return read_portable_header(path, file.get());
}

Result<PortableHeader> import_volume(const Path& path, const Path& directory, FillDatabase others) {
  TRY_LET(const Fd file, open_portable(path));
  TRY_LET(PortableHeader header, read_portable_header(path, file.get()));
  TRY(check_room(path, file.get(), directory));
  const Path image_path = directory / "imported.img";
  TRY_LET(const Fd image, open_file(image_path, O_RDWR | O_CREAT | O_EXCL));
  const Unfinished unfinished(image_path);  // the volume links it
  if (::ftruncate(image.get(), static_cast<off_t>(header.size_bytes)) != 0)
    return system_error("cannot size the imported disk");
  TRY(read_portable_chunks(path, file.get(), header.size_bytes, image.get()));
  if (::fsync(image.get()) != 0) return system_error("cannot make the imported disk durable");
  TRY(Volume::create(directory, image_path, header.size_bytes, std::move(others)));
  return header;
}

}  // namespace sprite::store
