#include "channel/checksum.h"

#include <bit>
#include <cstring>

namespace sprite::channel {

namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::uint64_t factor = 0x9E3779B97F4A7C15;

std::uint64_t step(std::uint64_t state, std::uint64_t word) { return std::rotl(state ^ word, 29) * factor; }

std::uint64_t load_word(const std::byte* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

}  // namespace

std::uint64_t mix(std::uint64_t state, ByteView data) {
  const std::byte* at = data.data();
  std::size_t left = data.size();
  if (left >= 32) {  // four lanes: one alone would wait for its multiplications
    std::uint64_t a = state, b = state + factor, c = state + 2 * factor, d = state + 3 * factor;
    for (; left >= 32; at += 32, left -= 32) {
      a = step(a, load_word(at));
      b = step(b, load_word(at + 8));
      c = step(c, load_word(at + 16));
      d = step(d, load_word(at + 24));
    }
    state = step(step(step(a, b), c), d);
  }
  for (; left >= 8; at += 8, left -= 8) state = step(state, load_word(at));
  if (left > 0) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, left);
    state = step(state, word);
  }
  return state;
}

std::uint32_t finish(std::uint64_t state) {
  state = (state ^ state >> 32) * factor;
  return static_cast<std::uint32_t>(state >> 32);
}

}  // namespace sprite::channel
