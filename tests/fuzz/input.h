#pragma once
/// What a fuzz target needs: choices taken from its input, and checks that stop it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"

namespace sprite::fuzz {

/// Takes choices from the front of the fuzzer's input; zeros when it is used up.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const std::byte*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  std::uint8_t byte() { return number<std::uint8_t>(); }
  /// A little-endian integer.
  template <std::unsigned_integral T>
  T number() {
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T) && !rest_.empty(); ++i) {
      value = static_cast<T>(value | static_cast<T>(std::to_integer<T>(rest_.front()) << (8 * i)));
      rest_ = rest_.subspan(1);
    }
    return value;
  }
  /// At most `count` bytes.
  ByteView bytes(std::size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  ByteView rest() { return bytes(rest_.size()); }

 private:
  ByteView rest_;
};

/// Stops the target when what must hold does not.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace sprite::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
