#pragma once
/// What is in a directory, without exceptions (a range-for over std::filesystem's iterators throws in the middle).
#include <vector>

#include "base/file.h"

namespace sprite {

/// The paths of what is in `directory`, sorted. Errors: as system_error (not_found: there is no such directory).
Result<std::vector<Path>> list_directory(const Path& directory);

/// The same, nothing where it cannot be read: for what is only looked at.
std::vector<Path> entries_of(const Path& directory);

}  // namespace sprite
