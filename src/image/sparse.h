#pragma once
/// Sparse files: visiting what they hold, copying them at the cost of their data.
#include <functional>

#include "base/file.h"

namespace sprite::image {

/// The file's apparent size. `path` is for the error's text. Errors: as system_error.
Result<std::uint64_t> size_of(const Fd& fd, const Path& path);
/// The bytes that the file occupies on its disk. Errors: as system_error.
Result<std::uint64_t> allocated_bytes(const Path& path);

/// Calls `visit` with each aligned block of `block_bytes` (the last may be shorter) that is not all zeros, in order;
/// skips holes without reading them. Errors: unavailable, and what `visit` returns.
Result<> for_each_data_block(const Fd& fd, std::size_t block_bytes,
                             const std::function<Result<>(std::uint64_t offset, ByteView block)>& visit);

enum class Linking { allowed, forbidden };

/// Makes `to` (which must not exist) the same as the regular file `from`, by the cheapest way the disk offers: a hard
/// link if allowed, a reflink, else a sparse copy; durable on return. A hard link is for files that nobody else has:
/// whoever has the other name writes into ours. Errors: invalid (`from` is no regular file), no_space, as system_error.
Result<> clone_file(const Path& from, const Path& to, Linking linking);

}  // namespace sprite::image
