#include "image/lz4.h"

#include <doctest/doctest.h>

#include "base/process.h"
#include "unit/image/fixture.h"

namespace sprite::image {
namespace {

std::string sample(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i * 2654435761u) + " and again and again ";
  text.resize(size);
  return text;
}

TEST_CASE("what is packed unpacks, over block boundaries too") {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{70000}, std::size_t{8 * MiB}, std::size_t{9 * MiB + 5}}) {
    CAPTURE(size);
    const std::string text = sample(size), packed = pack_lz4(text);
    CHECK(packed.size() <= size / 2 + 64);
    const auto unpacked = unpack_lz4(as_bytes(packed), size);
    REQUIRE(unpacked.has_value());
    CHECK(as_text(*unpacked) == text);
    CHECK(unpack_lz4(as_bytes(packed), size + 1).error().kind == Error::Kind::corrupt);
  }
}

TEST_CASE("the lz4 program reads it") {
  if (!find_program("lz4")) return;
  const test::TemporaryDirectory home;
  const std::string text = sample(100000);
  test::write_text(home / "packed", pack_lz4(text));
  const auto unpacked = run_process({"lz4", "-dc", (home / "packed").string()});
  REQUIRE(unpacked.has_value());
  CHECK(unpacked->out == text);
}

TEST_CASE("a frame cut or changed anywhere never writes outside") {
  const std::string text = sample(20000), packed = pack_lz4(text);
  for (std::size_t at = 0; at < packed.size(); ++at) {
    CHECK_FALSE(unpack_lz4(as_bytes(packed.substr(0, at)), text.size()).has_value());
    std::string changed = packed;
    changed[at] = static_cast<char>(changed[at] ^ 0x55);
    (void)unpack_lz4(as_bytes(changed), text.size());  // right or wrong: the sanitizers watch
  }
}

}  // namespace
}  // namespace sprite::image
