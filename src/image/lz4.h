#pragma once
/// LZ4's "legacy frame": what the Linux build makes and what the kernel unpacks, for kernel images and initramfs
/// archives.
#include "base/bytes.h"
#include "base/result.h"

namespace sprite::image {

/// Compresses well and slowly; unpacking is a third of zstd's work, which counts where the guest's CPU is emulated.
std::string pack_lz4(std::string_view data);

/// Unpacks exactly `size` bytes. Errors: corrupt.
Result<Bytes> unpack_lz4(ByteView frame, std::size_t size);

}  // namespace sprite::image
