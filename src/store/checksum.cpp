#include "store/checksum.h"

#include <array>

namespace sprite::store {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (0x82f63b78U & (0U - (value & 1U)));
    table[i] = value;
  }
  return table;
}
constexpr std::array table = make_table();

}  // namespace

std::uint32_t checksum(ByteView bytes) {
  std::uint32_t value = ~0U;
  for (const std::byte each : bytes)
    value = (value >> 8) ^ table[(value ^ std::to_integer<std::uint32_t>(each)) & 0xffU];
  return ~value;
}

}  // namespace sprite::store
