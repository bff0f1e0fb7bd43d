#include "image/cpio.h"

#include <fmt/format.h>
#include <sys/stat.h>

namespace sprite::image {

void Cpio::add_directory(std::string_view path, unsigned permissions) { add(path, S_IFDIR | permissions, {}, 0, 0); }
void Cpio::add_file(std::string_view path, unsigned permissions, ByteView content) {
  add(path, S_IFREG | permissions, content, 0, 0);
}
void Cpio::add_symlink(std::string_view path, std::string_view target) {
  add(path, S_IFLNK | 0777, as_bytes(target), 0, 0);
}
void Cpio::add_character_device(std::string_view path, unsigned permissions, unsigned major, unsigned minor) {
  add(path, S_IFCHR | permissions, {}, major, minor);
}

void Cpio::add(std::string_view path, unsigned mode, ByteView content, unsigned major, unsigned minor) {
  const auto pad = [this] { archive_.append((4 - archive_.size() % 4) % 4, '\0'); };
  const unsigned links = S_ISDIR(mode) ? 2 : 1;
  // inode, mode, uid, gid, links, mtime, size, device (2), represented device (2), length of the name with its NUL,
  // checksum
  archive_ += fmt::format("070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
                          next_inode_++, mode, 0, 0, links, 0, content.size(), 0, 0, major, minor, path.size() + 1, 0);
  archive_.append(path).push_back('\0');
  pad();
  archive_.append(as_text(content));
  pad();
}

std::string Cpio::finish() && {
  next_inode_ = 0;
  add("TRAILER!!!", 0, {}, 0, 0);
  return std::move(archive_);
}

}  // namespace sprite::image
