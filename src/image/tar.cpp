#include "image/tar.h"

#include <charconv>

#include "base/text.h"
#include "image/sparse.h"

namespace sprite::image {
namespace {

constexpr std::size_t block_bytes = 512;
constexpr std::uint64_t content_limit_bytes = 256 * MiB, extension_limit_bytes = 1 * MiB;

using Header = std::array<char, block_bytes>;

std::string_view field(const Header& header, std::size_t at, std::size_t length) {
  const std::string_view all(header.data() + at, length);
  return all.substr(0, std::min(all.find('\0'), length));
}

/// An octal number, or GNU's base 256 (first bit set).
std::uint64_t number(const Header& header, std::size_t at, std::size_t length) {
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(header[at]) & 0x80) != 0) {
    for (std::size_t i = 1; i < length; ++i) value = value << 8 | static_cast<unsigned char>(header[at + i]);
    return value;
  }
  const std::string digits = trim(field(header, at, length));
  std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
  return value;
}

bool checksum_fits(const Header& header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < block_bytes; ++i)
    sum += i >= 148 && i < 156 ? static_cast<unsigned char>(' ') : static_cast<unsigned char>(header[i]);
  return sum == number(header, 148, 8);
}

std::string normalised(std::string_view path) {
  while (path.starts_with("./")) path.remove_prefix(2);
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path == "." ? "" : std::string(path);
}

/// What extension headers say about the entry that follows.
struct Extensions {
  std::optional<std::string> path{}, link{};
  std::optional<std::uint64_t> size{}, uid{}, gid{}, mtime{};
  std::vector<std::pair<std::string, std::string>> xattrs{};
};

/// Reads pax records "<length> <key>=<value>\n"; false if they are malformed.
bool read_pax(std::string_view records, Extensions& extensions) {
  constexpr std::string_view xattr = "SCHILY.xattr.";
  while (!records.empty()) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(records.data(), records.data() + records.size(), length);
    const auto prefix = static_cast<std::size_t>(end - records.data()) + 1;
    if (error != std::errc{} || length > records.size() || length <= prefix) return false;
    const std::string_view record = records.substr(prefix, length - prefix - 1);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") extensions.path = value;
    if (key == "linkpath") extensions.link = value;
    for (const auto& [name, number] : {std::pair("size", &extensions.size), std::pair("uid", &extensions.uid),
                                       std::pair("gid", &extensions.gid), std::pair("mtime", &extensions.mtime)})
      if (key == name) std::from_chars(value.data(), value.data() + value.size(), number->emplace());  // whole seconds
    if (key.starts_with(xattr)) extensions.xattrs.emplace_back(key.substr(xattr.size()), value);
    records.remove_prefix(length);
  }
  return true;
}

std::optional<TarEntry::Kind> kind_of(char type) {
  using enum TarEntry::Kind;
  switch (type) {
    case '\0':
    case '0':
    case '7': return file;
    case '1': return hardlink;
    case '2': return symlink;
    case '3': return character_device;
    case '4': return block_device;
    case '5': return directory;
    case '6': return fifo;
    default: return std::nullopt;
  }
}

std::string header_path(const Header& header) {
  const std::string name(field(header, 0, 100));
  const bool posix = std::string_view(header.data() + 257, 6) == std::string_view("ustar\0", 6);
  const std::string_view prefix = posix ? field(header, 345, 155) : std::string_view();
  return prefix.empty() ? name : std::string(prefix) + "/" + name;
}

TarEntry make_entry(const Header& header, TarEntry::Kind kind, std::uint64_t offset, Extensions extensions) {
  TarEntry entry;
  entry.kind = kind;
  entry.path = normalised(extensions.path ? *extensions.path : header_path(header));
  entry.link = extensions.link ? *extensions.link : std::string(field(header, 157, 100));
  if (kind == TarEntry::Kind::hardlink) entry.link = normalised(entry.link);
  entry.mode = static_cast<unsigned>(number(header, 100, 8)) & 07777;
  entry.uid = static_cast<unsigned>(extensions.uid.value_or(number(header, 108, 8)));
  entry.gid = static_cast<unsigned>(extensions.gid.value_or(number(header, 116, 8)));
  entry.mtime = static_cast<std::int64_t>(extensions.mtime.value_or(number(header, 136, 12)));
  entry.major = static_cast<unsigned>(number(header, 329, 8));
  entry.minor = static_cast<unsigned>(number(header, 337, 8));
  entry.offset = offset;
  entry.size = kind == TarEntry::Kind::file ? extensions.size.value_or(number(header, 124, 12)) : 0;
  entry.xattrs = std::move(extensions.xattrs);
  return entry;
}

/// The directory part of a path, empty at the top.
std::string_view parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

/// `link` seen from directory `folder`, with "." and ".." taken out.
std::string joined(std::string_view folder, std::string_view link) {
  const Path whole = link.starts_with('/') ? Path(link) : Path("/") / folder / link;
  return normalised(whole.lexically_normal().string());
}

}  // namespace

Result<TarFile> TarFile::open(const Path& path) {
  TRY_LET(Fd fd, open_file(path, O_RDONLY));
  TarFile tar(std::move(fd));
  TRY(tar.index(path));
  return tar;
}

Result<> TarFile::index(const Path& path) {
  TRY_LET(const std::uint64_t end, size_of(fd_, path));
  const auto corrupt = [&](const std::string& why) {
    return Error{Error::Kind::corrupt, "'" + path.string() + "' is not a whole tar archive", "", {why}};
  };
  Extensions extensions;
  for (std::uint64_t at = 0; at + block_bytes <= end;) {
    Header header;
    TRY(pread_exactly(fd_.get(), std::as_writable_bytes(std::span(header)), at));
    if (header[0] == '\0') return {};  // the end: blocks of zeros
    if (!checksum_fits(header)) return corrupt("bad header checksum at offset " + std::to_string(at));
    const std::uint64_t offset = at + block_bytes;
    const char type = header[156];
    std::uint64_t size = number(header, 124, 12);
    if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
      if (size > extension_limit_bytes) return corrupt("an extension header of " + std::to_string(size) + " bytes");
      std::string text(size, '\0');
      TRY(pread_exactly(fd_.get(), std::as_writable_bytes(std::span(text)), offset));
      if (type == 'L') extensions.path = text.c_str();  // up to the first NUL
      if (type == 'K') extensions.link = text.c_str();
      if (type == 'x' && !read_pax(text, extensions)) return corrupt("malformed pax records");
    } else {
      const auto kind = kind_of(type);
      if (!kind) return corrupt(std::string("unknown entry type '") + type + "'");
      if (extensions.size) size = *extensions.size;
      if (*kind != TarEntry::Kind::file) size = 0;
      if (size > end || offset + size > end) return corrupt("it ends in the middle of an entry");
      entries_.push_back(make_entry(header, *kind, offset, std::exchange(extensions, {})));
      by_path_[entries_.back().path] = entries_.size() - 1;
    }
    at = offset + (size + block_bytes - 1) / block_bytes * block_bytes;
  }
  return corrupt("it has no end mark");
}

const TarEntry* TarFile::find(std::string_view path) const {
  const auto found = by_path_.find(normalised(path));
  return found == by_path_.end() ? nullptr : &entries_[found->second];
}

const TarEntry* TarFile::resolve(std::string_view path) const { return resolve(path, 0); }

const TarEntry* TarFile::resolve(std::string_view path, int depth) const {
  constexpr int most_links = 16;
  if (depth > most_links) return nullptr;
  const std::string name = normalised(path);
  if (const TarEntry* entry = find(name)) {
    if (entry->kind == TarEntry::Kind::hardlink) return resolve(entry->link, depth + 1);
    if (entry->kind == TarEntry::Kind::symlink) return resolve(joined(parent_of(name), entry->link), depth + 1);
    return entry;
  }
  const std::string_view folder = parent_of(name);
  if (folder.empty()) return nullptr;
  const TarEntry* parent = resolve(folder, depth + 1);
  if (!parent || parent->path == folder) return nullptr;  // nothing was followed: it is not there
  return resolve(parent->path + name.substr(folder.size()), depth + 1);
}

Result<> TarFile::read(const TarEntry& entry, std::uint64_t at, MutableByteView out) const {
  return pread_exactly(fd_.get(), out, entry.offset + at);
}

Result<Bytes> TarFile::content(std::string_view path) const {
  const TarEntry* entry = resolve(path);
  if (!entry || entry->kind != TarEntry::Kind::file)
    return Error{Error::Kind::not_found, "the archive has no file '" + std::string(path) + "'", "", {}};
  if (entry->size > content_limit_bytes)
    return Error{Error::Kind::invalid, "'" + std::string(path) + "' is too large", "", {}};
  Bytes bytes(entry->size);
  TRY(read(*entry, 0, bytes));
  return bytes;
}

}  // namespace sprite::image
