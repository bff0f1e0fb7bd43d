#pragma once
/// What a volume must hold, sector by sector, and what it may hold after a loss of power.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <map>
#include <unordered_map>
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
    for (std::uint64_t sector = first; sector < first + count; ++sector) {
      current[sector] = value;
      since_flush_[sector].push_back(value);
    }
  }
  void flush() {
    for (const auto& [sector, values] : since_flush_) durable_[sector] = current[sector];
    since_flush_.clear();
  }
  /// Everything is this, durably.
  void become(const std::vector<Value>& content) {
    current = durable_ = content;
    since_flush_.clear();
  }
  bool may_be_after_power_loss(std::uint64_t sector, Value value) const {
    if (value == durable_[sector]) return true;
    const auto written = since_flush_.find(sector);
    return written != since_flush_.end() && std::ranges::find(written->second, value) != written->second.end();
  }

  std::vector<Value> current;

 private:
  std::vector<Value> durable_;
  std::unordered_map<std::uint64_t, std::vector<Value>> since_flush_;
};

}  // namespace sprite::test
