#include "image/kernel.h"

#include <string>

#include "image/elf.h"
#include "image/lz4.h"

namespace sprite::image {
namespace {

constexpr std::size_t unpacked_limit_bytes = 256 * MiB;

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

}  // namespace

Result<Bytes> unpack_kernel(ByteView bzimage) {
  TRY_LET(const ByteView payload, payload_of(bzimage));
  constexpr std::size_t word = sizeof(std::uint32_t);
  if (payload.size() < word) return unusable("it is cut off");
  const std::size_t size =
      load_little<std::uint32_t>(payload.data() + payload.size() - word);  // as the build appends it
  if (size > unpacked_limit_bytes) return unusable("it claims to be larger than 256 MiB");
  auto kernel = unpack_lz4(payload.first(payload.size() - word), size);
  if (!kernel) return std::move(kernel).error().within("cannot unpack the kernel image");
  TRY_LET(const bool bootable, has_pvh_entry(*kernel));
  if (!bootable) return unusable("it has no PVH entry point");
  return kernel;
}

}  // namespace sprite::image
