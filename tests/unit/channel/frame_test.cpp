#include "channel/frame.h"

#include <doctest/doctest.h>

#include "world.h"

using namespace sprite;
using namespace sprite::channel;

namespace {

constexpr Nonce nonce{std::byte{1}, std::byte{2}, std::byte{3}};
constexpr Greeting greeting{nonce, protocol_version, 64 * KiB, 100};

Bytes encode(Kind kind, std::uint32_t stream, ByteView payload) {
  const auto header = encode_header(epoch_seed(nonce), kind, stream, payload);
  Bytes bytes(header.size() + payload.size());
  std::ranges::copy(payload, std::ranges::copy(header, bytes.begin()).out);
  return bytes;
}

Bytes hello_behind(std::size_t zeros) {
  Bytes bytes(zeros);
  const auto hello = encode_greeting(Kind::hello, greeting);
  bytes.insert(bytes.end(), hello.begin(), hello.end());
  return bytes;
}

}  // namespace

TEST_CASE("a frame is what was encoded, and no part of it is one") {
  const Bytes bytes = encode(Kind::data, 7, as_bytes("content"));
  const auto parsed = parse_frame(epoch_seed(nonce), bytes);
  REQUIRE(parsed.state == Parsed::State::frame);
  CHECK(parsed.frame.kind == Kind::data);
  CHECK(parsed.frame.stream == 7);
  CHECK(as_text(parsed.frame.payload) == "content");
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(parse_frame(epoch_seed(nonce), ByteView(bytes).first(size)).state == Parsed::State::incomplete);
}

TEST_CASE("one wrong bit anywhere breaks a frame, and so does another epoch") {
  const Bytes bytes = encode(Kind::data, 7, as_bytes("content"));
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes wrong = bytes;
    wrong[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    CAPTURE(bit);
    CHECK(parse_frame(epoch_seed(nonce), wrong).state != Parsed::State::frame);
  }
  CHECK(parse_frame(epoch_seed({}), bytes).state == Parsed::State::broken);
}

TEST_CASE("a header never ends in a zero byte, so no content imitates the silence before a HELLO") {
  for (std::uint32_t stream = 0; stream < 2000; ++stream) {
    const auto header = encode_header(epoch_seed(nonce), Kind::data, stream, {});
    REQUIRE(header.front() != std::byte{});
    REQUIRE(header.back() != std::byte{});
  }
  static_assert(payload_bytes_max < silence_bytes);
  static_assert(silence_sent_bytes >= silence_bytes + frame_bytes_max);
}

TEST_CASE("a HELLO counts only behind the whole silence") {
  CHECK(HelloSeeker().feed(hello_behind(silence_bytes)).greeting->nonce == nonce);
  CHECK_FALSE(HelloSeeker().feed(hello_behind(silence_bytes - 1)).greeting);
  CHECK(HelloSeeker().feed(hello_behind(silence_bytes - 1)).noise);
}

TEST_CASE("a HELLO is found wherever its bytes are divided") {
  const Bytes bytes = hello_behind(silence_bytes);
  for (std::size_t cut = silence_bytes - 2; cut <= bytes.size(); ++cut) {
    HelloSeeker seeker;
    const auto first = seeker.feed(ByteView(bytes).first(cut));
    if (first.greeting) continue;
    CAPTURE(cut);
    CHECK_FALSE(first.noise);
    CHECK(seeker.feed(ByteView(bytes).subspan(first.consumed)).greeting.has_value());
  }
}

TEST_CASE("a greeting with limits out of range is none") {
  for (const Greeting& wrong : {Greeting{nonce, 1, 0, 1}, Greeting{nonce, 1, window_bytes_max + 1, 1},
                                Greeting{nonce, 1, 64 * KiB, 0}, Greeting{nonce, 1, 64 * KiB, streams_limit + 1}}) {
    Bytes bytes(silence_bytes);
    const auto hello = encode_greeting(Kind::hello, wrong);
    bytes.insert(bytes.end(), hello.begin(), hello.end());
    CHECK_FALSE(HelloSeeker().feed(bytes).greeting);
    CHECK_FALSE(seek_acknowledge(nonce, encode_greeting(Kind::acknowledge, wrong)).greeting);
  }
}

TEST_CASE("only the acknowledgement of our nonce is one, behind any noise and wherever it is divided") {
  const auto ours = encode_greeting(Kind::acknowledge, greeting);
  Greeting other = greeting;
  other.nonce[15] = std::byte{9};
  const auto theirs = encode_greeting(Kind::acknowledge, other);
  Bytes bytes = test::make_content(100, 1);
  bytes.insert(bytes.end(), theirs.begin(), theirs.end());
  bytes.insert(bytes.end(), nonce.begin(), nonce.end());  // a lure
  CHECK_FALSE(seek_acknowledge(nonce, bytes).greeting);
  bytes.insert(bytes.end(), ours.begin(), ours.end());
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    const auto first = seek_acknowledge(nonce, ByteView(bytes).first(cut));
    CAPTURE(cut);
    REQUIRE_FALSE(first.greeting);
    const auto second = seek_acknowledge(nonce, ByteView(bytes).subspan(first.consumed));
    REQUIRE(second.greeting);
    CHECK(first.consumed + second.consumed == bytes.size());
  }
}
