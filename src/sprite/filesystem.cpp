#include "sprite/filesystem.h"

#include <array>

namespace sprite {
namespace {

// The superblock of ext4, its offsets and flags.
constexpr std::uint64_t superblock_at = 1024;
constexpr std::size_t superblock_bytes = 1024, magic_at = 0x38, incompatible_features_at = 0x60;
constexpr std::uint16_t magic = 0xef53;
constexpr std::uint32_t needs_recovery = 0x4;

}  // namespace

Result<store::Consistency> consistency_of(store::Volume& volume) {
  std::array<std::byte, superblock_bytes> superblock{};
  if (volume.size_bytes() < superblock_at + superblock_bytes) return store::Consistency::at_rest;
  TRY(volume.read(superblock_at, superblock));
  if (load_little<std::uint16_t>(superblock.data() + magic_at) != magic) return store::Consistency::at_rest;
  const auto features = load_little<std::uint32_t>(superblock.data() + incompatible_features_at);
  return (features & needs_recovery) != 0 ? store::Consistency::crash : store::Consistency::at_rest;
}

}  // namespace sprite
