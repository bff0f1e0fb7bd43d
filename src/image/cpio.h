#pragma once
/// Writes an initramfs archive (cpio "newc", the kernel's buffer-format.rst) in memory: no root needed, no clock used.
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace sprite::image {

/// Everything belongs to root and carries time 0. Parents are not made by themselves: add directories first.
class Cpio {
 public:
  void add_directory(std::string_view path, unsigned permissions = 0755);
  void add_file(std::string_view path, unsigned permissions, ByteView content);
  void add_symlink(std::string_view path, std::string_view target);
  void add_character_device(std::string_view path, unsigned permissions, unsigned major, unsigned minor);
  /// The whole archive; nothing may be added afterwards.
  std::string finish() &&;

 private:
  void add(std::string_view path, unsigned mode, ByteView content, unsigned major, unsigned minor);
  std::string archive_;
  unsigned next_inode_ = 1;
};

}  // namespace sprite::image
