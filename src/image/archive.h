#pragma once
/// An image as one file: a tar archive compressed with zstd, manifest first, holes kept as holes.
#include "base/file.h"

namespace sprite::image {

/// Packs the image in `directory` into `archive`; durable on return, and either whole or absent.
/// Errors: exists; not_found (tar or zstd is not installed); no_space; unavailable.
Result<> pack_archive(const Path& directory, const Path& archive);

/// Unpacks an image's files, and nothing else, from `archive` into the empty `directory`. They are not checked.
/// Errors: not_found; corrupt (not an image archive); no_space; unavailable.
Result<> unpack_archive(const Path& archive, const Path& directory);

}  // namespace sprite::image
