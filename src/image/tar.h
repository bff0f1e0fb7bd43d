#pragma once
/// Reads tar archives (ustar, pax and GNU long names, as GNU tar and mmdebstrap write them) without unpacking them.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"

namespace sprite::image {

struct TarEntry {
  enum class Kind { file, directory, symlink, hardlink, character_device, block_device, fifo };

  Kind kind = Kind::file;
  std::string path{};  ///< Without leading "./" or "/" and without trailing "/"; empty for the root.
  std::string link{};  ///< Target of a symlink as written; path of the first name of a hard link.
  unsigned mode = 0;   ///< Permission bits only.
  unsigned uid = 0, gid = 0;
  std::int64_t mtime = 0;
  unsigned major = 0, minor = 0;
  std::uint64_t offset = 0, size = 0;  ///< Where a file's content lies in the archive.
  std::vector<std::pair<std::string, std::string>> xattrs{};
};

/// An archive and its table of contents.
class TarFile {
 public:
  /// Reads the headers of all entries. Errors: as system_error; corrupt.
  static Result<TarFile> open(const Path& path);

  const std::vector<TarEntry>& entries() const { return entries_; }
  /// The entry of that path ("usr/bin/crun"), links not followed.
  const TarEntry* find(std::string_view path) const;
  /// The same with symbolic and hard links followed, also in the middle of the path.
  const TarEntry* resolve(std::string_view path) const;
  /// Reads part of a file's content. Errors: unavailable.
  Result<> read(const TarEntry& entry, std::uint64_t at, MutableByteView out) const;
  /// A whole file's content. Errors: unavailable; not_found (no such file); invalid (above 256 MiB).
  Result<Bytes> content(std::string_view path) const;

 private:
  explicit TarFile(Fd fd) : fd_(std::move(fd)) {}
  Result<> index(const Path& path);
  const TarEntry* resolve(std::string_view path, int depth) const;

  Fd fd_;
  std::vector<TarEntry> entries_;
  std::map<std::string, std::size_t, std::less<>> by_path_;
};

}  // namespace sprite::image
