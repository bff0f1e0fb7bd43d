#pragma once
/// manifest.json: what an image is, in FORMAT.md's words.
#include <map>
#include <string>
#include <vector>

#include "base/file.h"

namespace sprite::image {

/// One of the image's files. `sparse` ones are hashed by sha256_of_sparse_file.
struct ImageFile {
  std::string name{};
  std::uint64_t size_bytes = 0;
  std::string sha256{};
  bool sparse = false;
};

inline constexpr const char* kernel_file = "vmlinuz";
inline constexpr const char* initramfs_file = "initramfs.img";
inline constexpr const char* rootfs_file = "rootfs.img";
inline constexpr const char* manifest_file = "manifest.json";

struct Manifest {
  std::string name{};
  std::string digest{};   ///< 64 hexadecimal digits, see digest_of().
  std::string created{};  ///< RFC 3339.
  std::string architecture{};
  std::string suite{};
  std::string kernel_release{};
  std::string kernel_arguments{};
  std::string agent_version{};
  std::uint64_t disk_bytes = 0;
  std::vector<ImageFile> files{};
  std::map<std::string, std::string> packages{};  ///< Of the root filesystem and of what boots it: name to version.
};

/// The digest that names an image, over all that decides how it runs: SHA-256 over "<sha256>  <name>\n" of its files,
/// sorted by name, and the kernel's arguments.
std::string digest_of(const std::vector<ImageFile>& files, const std::string& kernel_arguments);

/// Errors: corrupt (not a manifest; its digest is not that of its files; a file of another name or with a bad digest).
Result<Manifest> parse_manifest(std::string_view json);
std::string to_json(const Manifest& manifest);

/// Errors: not_found, corrupt, as system_error.
Result<Manifest> read_manifest(const Path& directory);
/// Size and digest of `directory`/`name` as it is. Errors: as system_error.
Result<ImageFile> describe_file(const Path& directory, const std::string& name);

}  // namespace sprite::image
