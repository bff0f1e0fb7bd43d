#pragma once
/// What is in a directory, without exceptions (a range-for over std::filesystem's iterators throws in the middle).
#include <vector>

#include "base/file.h"

namespace sprite {

/// The paths of what is in `directory`, sorted. Errors: as system_error (not_found: there is no such directory).
Result<std::vector<Path>> list_directory(const Path& directory);

/// The same, nothing where it cannot be read: for what is only looked at.
std::vector<Path> entries_of(const Path& directory);

/// Host bytes that would be free without what is at `path` and below it: holes and files that have other names are not
/// counted, nor what cannot be read.
std::uint64_t bytes_on_disk(const Path& path);

/// Under what name `file` is written that appears when it is whole: hidden, beside it.
Path unfinished_name(const Path& file);

}  // namespace sprite
