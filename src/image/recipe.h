#pragma once
/// A recipe: what an image is made of, read from images/<name>/image.yaml.
#include <string>
#include <vector>

#include "base/file.h"

namespace sprite::image {

/// The user's machine: the root filesystem.
struct RootfsRecipe {
  std::vector<std::string> packages{};
  std::vector<std::string> exclude{};  ///< dpkg path-exclude patterns.
  std::string customize{};             ///< Shell script, run at the end with the new root's path in "$1".
};

/// What the VM boots with: kernel and initramfs. Nothing of it is in the root filesystem.
struct BootRecipe {
  std::vector<std::string> packages{};
  std::vector<std::string> programs{};  ///< Absolute paths of programs for the initramfs; their libraries follow.
  std::vector<std::string> modules{};   ///< Kernel modules for the initramfs; what they depend on follows.
  std::string arguments{};
};

struct Recipe {
  std::string name{};
  std::string suite{};
  std::vector<std::string>
      sources{};                 ///< apt source lines: what the image uses, and the build where the host has none.
  std::int64_t timestamp_s = 0;  ///< No file is newer than this (Unix time): the same packages give the same image.
  std::uint64_t disk_bytes = 0;
  std::string disk_uuid{};
  RootfsRecipe rootfs{};
  BootRecipe boot{};
};

/// Reads <folder>/image.yaml. Errors: not_found; invalid (with file, line and what was expected).
Result<Recipe> read_recipe(const Path& folder);

}  // namespace sprite::image
