#include "base/crc32c.h"

#include <array>
#include <cstring>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace sprite {

namespace {

using Table = std::array<std::array<std::uint32_t, 256>, 8>;

/// tables[k][b] is the checksum of byte b followed by k zero bytes.
constexpr Table make_tables() {
  Table tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) ? 0x82F63B78U : 0U);
    tables[0][byte] = value;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t byte = 0; byte < 256; ++byte)
      tables[k][byte] = (tables[k - 1][byte] >> 8) ^ tables[0][tables[k - 1][byte] & 0xFF];
  return tables;
}

constexpr Table tables = make_tables();

constexpr std::uint32_t after_zero(std::uint32_t value) { return (value >> 8) ^ tables[0][value & 0xFF]; }

#if defined(__x86_64__)

/// The instruction takes three cycles but starts one each: three lanes of this size are computed side by side.
constexpr std::size_t lane_bytes = 1024;

/// shifts[k][b] is the state b << 8k after `lane_bytes` zero bytes.
constexpr std::array<std::array<std::uint32_t, 256>, 4> make_shifts() {
  std::array<std::array<std::uint32_t, 256>, 4> shifts{};
  for (std::size_t bit = 0; bit < 32; ++bit) {
    std::uint32_t value = 1U << bit;
    for (std::size_t i = 0; i < lane_bytes; ++i) value = after_zero(value);
    auto& table = shifts[bit / 8];
    const std::size_t high = std::size_t{1} << bit % 8;
    for (std::size_t low = 0; low < high; ++low) table[high + low] = table[low] ^ value;
  }
  return shifts;
}

constexpr auto shifts = make_shifts();

std::uint32_t after_lane(std::uint64_t value) {
  return shifts[0][value & 0xFF] ^ shifts[1][value >> 8 & 0xFF] ^ shifts[2][value >> 16 & 0xFF] ^
         shifts[3][value >> 24 & 0xFF];
}

std::uint64_t load_word(const std::byte* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_sse42(std::uint32_t before, ByteView data) {
  std::uint64_t value = ~before;
  const std::byte* at = data.data();
  std::size_t left = data.size();
  for (; left >= 3 * lane_bytes; at += 3 * lane_bytes, left -= 3 * lane_bytes) {
    std::uint64_t second = 0, third = 0;
    for (const std::byte* word = at; word < at + lane_bytes; word += 8) {
      value = _mm_crc32_u64(value, load_word(word));
      second = _mm_crc32_u64(second, load_word(word + lane_bytes));
      third = _mm_crc32_u64(third, load_word(word + 2 * lane_bytes));
    }
    value = after_lane(after_lane(value) ^ second) ^ third;
  }
  for (; left >= 8; at += 8, left -= 8) value = _mm_crc32_u64(value, load_word(at));
  auto tail = static_cast<std::uint32_t>(value);
  for (; left > 0; ++at, --left) tail = _mm_crc32_u8(tail, std::to_integer<std::uint8_t>(*at));
  return ~tail;
}
#endif

}  // namespace

std::uint32_t crc32c_portable(std::uint32_t before, ByteView data) {
  std::uint32_t value = ~before;
  const std::byte* at = data.data();
  std::size_t left = data.size();
  for (; left >= 8; at += 8, left -= 8) {
    const auto word = load_little<std::uint64_t>(at) ^ value;
    value = 0;
    for (std::size_t i = 0; i < 8; ++i) value ^= tables[7 - i][(word >> (8 * i)) & 0xFF];
  }
  for (; left > 0; ++at, --left) value = after_zero(value ^ std::to_integer<std::uint32_t>(*at));
  return ~value;
}

std::uint32_t crc32c(std::uint32_t before, ByteView data) {
#if defined(__x86_64__)
  static const bool fast = __builtin_cpu_supports("sse4.2");
  if (fast) return crc32c_sse42(before, data);
#endif
  return crc32c_portable(before, data);
}

}  // namespace sprite
