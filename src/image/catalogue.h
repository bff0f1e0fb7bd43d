#pragma once
/// Catalogue: the images of one data directory, under <data>/images/<digest>/.
///
/// A directory with a digest's name is complete and verified: an import is made under a hidden name, checked, synced,
/// and renamed last. Its files are never written again. The lock file keeps two processes from changing the catalogue
/// at once; readers need no lock. What an import left behind that died is removed by the next one.
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "image/manifest.h"
#include "image/sparse.h"

namespace sprite::image {

/// An image in the catalogue.
struct Image {
  Path directory{};
  Manifest manifest{};
  std::string imported{};  ///< RFC 3339; of two images with one name, the later imported one is meant.
  std::string problem{};   ///< Why it cannot be used: its manifest cannot be read. Empty for a good one.

  Path kernel() const { return directory / kernel_file; }
  Path initramfs() const { return directory / initramfs_file; }
  Path rootfs() const { return directory / rootfs_file; }
  /// "base@1f2e3d4c5b6a"
  std::string reference() const { return manifest.name + "@" + manifest.digest.substr(0, 12); }
};

class Catalogue {
 public:
  /// `images`: "<data>/images"; need not exist.
  explicit Catalogue(Path images) : images_(std::move(images)) {}

  /// All images, the last imported first. Errors: as system_error.
  Result<std::vector<Image>> list() const;
  /// The image that `reference` means: a name, "name@digest", or a digest, each digest cut short to at least 6 digits.
  /// Errors: not_found, invalid (a short digest that fits several), corrupt (its manifest cannot be read, or a file is
  /// missing or of another size).
  Result<Image> find(const std::string& reference) const;

  /// Adds the image in `source`, a directory or an archive of export_to(): what is kept is ours alone, and what is
  /// checked is what is kept. A directory costs no space where its files can be reflinks. An image that is already
  /// there becomes the newest of its name. Errors: not_found, corrupt, no_space, unavailable, as system_error.
  Result<Image> import_from(const Path& source) const;
  /// Writes one portable file (tar, zstd; holes take no space). Errors: as find(); exists; no_space; unavailable.
  Result<> export_to(const std::string& reference, const Path& archive) const;
  /// Removes an image. `used` are the digests that sprites need. Errors: as find(); busy (a sprite
  /// uses it).
  Result<Image> remove(const std::string& reference, const std::set<std::string>& used) const;

  /// Compares every file's size and content with the manifest, as import does. Errors: corrupt (naming the file),
  /// not_found.
  static Result<> verify(const Image& image);

 private:
  Result<Image> adopt(const Path& directory, Manifest manifest, Linking linking) const;
  Path images_;
};

}  // namespace sprite::image
