#include "image/kernel.h"

#include <elf.h>
#include <lz4.h>

#include <string>

#include "image/elf.h"

namespace sprite::image {
namespace {

constexpr std::size_t unpacked_limit_bytes = 256 * MiB;
constexpr std::size_t lz4_block_bytes = 8 * MiB;  // the legacy frame's fixed block size
constexpr std::uint32_t lz4_legacy_magic = 0x184C2102;

Error unusable(std::string why) {
  return Error{Error::Kind::invalid, "cannot unpack the kernel image", "", {std::move(why)}};
}

/// The compressed part of a bzImage (the kernel's Documentation/arch/x86/boot.rst: setup_sects, payload_offset and
/// _length).
Result<ByteView> payload_of(ByteView bzimage) {
  constexpr std::size_t sector_bytes = 512, header_end = 0x250;
  if (bzimage.size() < header_end || as_text(bzimage.subspan(0x202, 4)) != "HdrS")
    return unusable("it is not a bzImage");
  const auto setup_sectors = std::to_integer<std::size_t>(bzimage[0x1f1]);
  const std::size_t start = ((setup_sectors == 0 ? 4 : setup_sectors) + 1) * sector_bytes;
  const std::size_t offset = start + load_little<std::uint32_t>(bzimage.data() + 0x248);
  const std::size_t length = load_little<std::uint32_t>(bzimage.data() + 0x24c);
  if (offset > bzimage.size() || length > bzimage.size() - offset) return unusable("it is cut off");
  return bzimage.subspan(offset, length);
}

/// LZ4's legacy frame, as the kernel's build makes it: magic, then blocks behind their length; four bytes follow that
/// tell the unpacked size.
Result<Bytes> unpack_lz4(ByteView payload) {
  constexpr std::size_t word = sizeof(std::uint32_t);
  if (payload.size() < 2 * word || load_little<std::uint32_t>(payload.data()) != lz4_legacy_magic)
    return unusable("it is not compressed with LZ4");
  const std::size_t size = load_little<std::uint32_t>(payload.data() + payload.size() - word);
  if (size > unpacked_limit_bytes) return unusable("it claims to be larger than 256 MiB");
  ByteView rest = payload.subspan(word, payload.size() - 2 * word);
  Bytes out(size);
  std::size_t done = 0;
  while (rest.size() >= word) {
    const std::size_t length = load_little<std::uint32_t>(rest.data());
    rest = rest.subspan(word);
    if (length > rest.size()) return unusable("its LZ4 data is cut off");
    const int got =
        LZ4_decompress_safe(reinterpret_cast<const char*>(rest.data()), reinterpret_cast<char*>(out.data() + done),
                            static_cast<int>(length), static_cast<int>(std::min(lz4_block_bytes, size - done)));
    if (got < 0) return unusable("its LZ4 data is damaged");
    done += static_cast<std::size_t>(got);
    rest = rest.subspan(length);
  }
  if (done != size) return unusable("its LZ4 data ends early");
  return out;
}

}  // namespace

Result<Bytes> unpack_kernel(ByteView bzimage) {
  TRY_LET(const ByteView payload, payload_of(bzimage));
  TRY_LET(Bytes kernel, unpack_lz4(payload));
  TRY_LET(const bool bootable, has_pvh_entry(kernel));
  if (!bootable) return unusable("it has no PVH entry point");
  return kernel;
}

}  // namespace sprite::image
