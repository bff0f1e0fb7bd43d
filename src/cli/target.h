#pragma once
/// The sprite that a directory is about: `.sprite`, {"organization": …, "sprite": …}.
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/result.h"

namespace sprite::cli {

struct Target {
  std::string organization, sprite;
};

/// Where the target of `directory` is kept. A directory may already have a folder `.sprite` for other reasons: then it
/// is the file `target.json` in there.
Path target_path(const Path& directory);
/// Nothing when the directory has no target. Errors: invalid (a file that is not one), as system_error.
Result<std::optional<Target>> read_target(const Path& directory);
/// The error, which says where the name of the sprite that is missing came from if that was the target of `directory`
/// and none of the `words` that were typed.
Error explained_by_target(Error error, const std::vector<std::string>& words, const Path& directory);
/// Errors: as system_error.
Result<> write_target(const Path& directory, const Target& target);
/// False when there was none. Errors: as system_error.
Result<bool> remove_target(const Path& directory);

}  // namespace sprite::cli
