#pragma once
/// Kernel images: bzImage to the ELF file inside, which QEMU starts directly.
#include "base/bytes.h"
#include "base/result.h"

namespace sprite::image {

/// The uncompressed kernel (ELF, with an entry point for PVH boot) inside `bzimage`; saves the guest from unpacking it.
/// Errors: invalid, corrupt (not a bzImage, no LZ4 payload, no PVH entry): boot the bzImage itself then.
Result<Bytes> unpack_kernel(ByteView bzimage);

}  // namespace sprite::image
