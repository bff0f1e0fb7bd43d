#include "base/crc32c.h"

#include <doctest/doctest.h>

using namespace sprite;

TEST_CASE("CRC-32C has its published values") {
  CHECK(crc32c(0, as_bytes("123456789")) == 0xE3069283);
  CHECK(crc32c(0, Bytes(32)) == 0x8A9136AA);
  CHECK(crc32c(0, {}) == 0);
}

TEST_CASE("CRC-32C is the same with and without the processor's help, in one piece and in two") {
  const Bytes data = random_bytes(300);
  for (std::size_t begin = 0; begin < 16; ++begin)
    for (std::size_t end = begin; end <= data.size(); ++end) {
      const auto piece = ByteView(data).subspan(begin, end - begin);
      const auto whole = crc32c(7, piece);
      REQUIRE(whole == crc32c_portable(7, piece));
      REQUIRE(whole == crc32c(crc32c(7, piece.first(piece.size() / 3)), piece.subspan(piece.size() / 3)));
    }
  const Bytes large = random_bytes(20'000);
  for (std::size_t size = 3000; size < large.size(); size += 61)
    REQUIRE(crc32c(7, ByteView(large).first(size)) == crc32c_portable(7, ByteView(large).first(size)));
}
