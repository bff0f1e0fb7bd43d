#pragma once
/// What a volume must hold, sector by sector, and what it may hold after a loss of power.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/bytes.h"

namespace sprite::test {

constexpr std::uint64_t sector_bytes = 512;
/// The content of a sector: 0 is zeros, any other number a pattern of its own.
using Value = std::uint32_t;

inline void fill_sector(std::byte* at, Value value, std::uint64_t sector) {
  if (value == 0) {
    std::memset(at, 0, sector_bytes);
    return;
  }
  std::uint64_t word = (static_cast<std::uint64_t>(value) << 32 | sector) * 0x9e3779b97f4a7c15U;
  for (std::size_t i = 0; i < sector_bytes; i += 8) {
    store_little(at + i, word);
    word = word * 6364136223846793005U + 1442695040888963407U;
  }
  store_little(at, value);
}

class Model {
 public:
  explicit Model(std::size_t sectors) : current(sectors), durable_(sectors) {}

  void write(std::uint64_t first, std::uint64_t count, Value value) {
    std::fill_n(current.begin() + static_cast<std::ptrdiff_t>(first), count, value);
    since_flush_.push_back({first, count, value});
  }
  void flush() {
    for (const Write& each : since_flush_) {
      const auto first = static_cast<std::ptrdiff_t>(each.first);
      std::copy_n(current.begin() + first, each.count, durable_.begin() + first);
    }
    since_flush_.clear();
  }
  /// Everything is this, durably.
  void become(const std::vector<Value>& content) {
    current = durable_ = content;
    since_flush_.clear();
  }
  bool may_be_after_power_loss(std::uint64_t sector, Value value) const {
    if (value == durable_[sector]) return true;
    return std::ranges::any_of(since_flush_, [&](const Write& each) {
      return each.value == value && sector >= each.first && sector < each.first + each.count;
    });
  }

  std::vector<Value> current;

 private:
  struct Write {
    std::uint64_t first = 0, count = 0;
    Value value = 0;
  };

  std::vector<Value> durable_;
  std::vector<Write> since_flush_;
};

}  // namespace sprite::test
