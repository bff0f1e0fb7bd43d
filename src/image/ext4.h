#pragma once
/// A sparse ext4 disk image from a tar archive, without mounting, without root, with the archive's owners.
#include "image/tar.h"

namespace sprite::image {

struct Ext4Options {
  std::uint64_t size_bytes = 0;
  std::string uuid{};
  std::string label{};
  std::int64_t timestamp_s = 0;  ///< Creation time of the file system; times of files are cut off at it.
};

/// Makes `image` (replaced if it exists): an ext4 without partition table that holds `tree`. The same input gives the
/// same bytes. What the kernel would otherwise zero in the background is marked as done. Errors: not_found (no mke2fs),
/// no_space, unavailable (with the library's own words).
Result<> make_ext4(const Path& image, const Ext4Options& options, const TarFile& tree);

}  // namespace sprite::image
