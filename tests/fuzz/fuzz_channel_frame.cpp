// The frame codec and the seekers, on bytes of any origin. The first byte says what is done with the rest.
#include <cstring>
#include <memory>

#include "channel/frame.h"
#include "input.h"

using namespace sprite;
using namespace sprite::channel;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr std::uint64_t seed = 0x5EED;
constexpr Nonce nonce{std::byte{0xAB}, std::byte{0xCD}};

/// A copy without a byte to spare, so that the sanitizer sees the first one too many.
struct Exact {
  explicit Exact(ByteView bytes) : size(bytes.size()), data(std::make_unique<std::byte[]>(size)) {
    if (size > 0) std::memcpy(data.get(), bytes.data(), size);
  }
  MutableByteView view() { return {data.get(), size}; }

  std::size_t size;
  std::unique_ptr<std::byte[]> data;
};

/// Makes the first frame in `bytes` a valid one, whatever it says.
void mend(MutableByteView bytes, std::uint64_t checksum_seed) {
  if (bytes.size() < header_bytes) return;
  bytes[0] = std::byte{0xC5};
  const auto length =
      std::min<std::size_t>(load_little<std::uint32_t>(&bytes[8]) % frame_bytes_max, bytes.size() - header_bytes);
  store_little(&bytes[8], static_cast<std::uint32_t>(length));
  store_little(&bytes[12], frame_check(checksum_seed, bytes.first(header_bytes), bytes.subspan(header_bytes, length)));
}

void parse(MutableByteView bytes) {
  const auto parsed = parse_frame(seed, bytes);
  if (parsed.state != Parsed::State::frame) return;
  const Frame& frame = parsed.frame;
  require(frame.size() <= bytes.size() && frame.size() <= frame_bytes_max, "a frame lies inside its bytes");
  const auto header = encode_header(seed, frame.kind, frame.stream, frame.payload);
  const auto again = parse_frame(seed, [&, copy = Bytes(header.begin(), header.end())]() mutable {
    copy.insert(copy.end(), frame.payload.begin(), frame.payload.end());
    return copy;
  }());
  require(again.state == Parsed::State::frame, "what was parsed can be encoded");
  (void)decode_greeting(frame);
}

/// The seeker must say the same whether it sees all bytes at once or in pieces.
void seek_hello(Input input, bool silence) {
  const std::size_t piece = 1 + input.byte();
  Bytes bytes(silence ? silence_bytes : 0);
  const auto rest = input.rest();
  bytes.insert(bytes.end(), rest.begin(), rest.end());
  mend(MutableByteView(bytes).subspan(silence ? silence_bytes : 0), hello_seed);
  Exact all(bytes);
  HelloSeeker whole_seeker, seeker;
  const auto whole = whole_seeker.feed(all.view());
  require(whole.consumed <= all.size, "no more is consumed than there is");

  std::size_t begin = 0, end = silence ? silence_bytes - 5 : 0;
  if (end > 0) begin = seeker.feed(all.view().first(end)).consumed;
  bool found = false;
  while (end < all.size && !found) {
    end = std::min(all.size, end + piece);
    Exact part(all.view().subspan(begin, end - begin));
    const auto step = seeker.feed(part.view());
    require(step.consumed <= part.size, "no more is consumed than there is");
    begin += step.consumed;
    found = step.greeting.has_value();
    require(found || part.size - step.consumed < greeting_bytes, "less than a greeting is held back");
  }
  require(found == whole.greeting.has_value(), "pieces and the whole hold the same HELLO");
  require(begin == whole.consumed, "and it is in the same place");
}

void seek_ours(Input input) {
  const std::size_t before = input.number<std::uint16_t>() % 512;
  const std::size_t piece = 1 + input.byte();
  const bool there = input.byte() % 2;
  const auto noise = input.bytes(before);
  Bytes bytes(noise.begin(), noise.end());
  if (there) {
    const auto greeting = encode_greeting(Kind::acknowledge, {nonce, 1, window_bytes_min, 1});
    bytes.insert(bytes.end(), greeting.begin(), greeting.end());
  }
  std::size_t begin = 0, end = 0;
  bool found = false;
  while (end < bytes.size() && !found) {
    end = std::min(bytes.size(), end + piece);
    Exact part(ByteView(bytes).subspan(begin, end - begin));
    const auto step = seek_acknowledge(nonce, part.view());
    require(step.consumed <= part.size && part.size - step.consumed < greeting_bytes, "little is held back");
    begin += step.consumed;
    found = step.greeting.has_value();
  }
  require(found == there, "the acknowledgement is found when it is there");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  switch (input.byte() % 5) {
    case 0: parse(Exact(input.rest()).view()); break;
    case 1: {
      Exact bytes(input.rest());
      mend(bytes.view(), seed);
      parse(bytes.view());
      break;
    }
    case 2: seek_hello(input, false); break;
    case 3: seek_hello(input, true); break;
    default: seek_ours(input);
  }
  return 0;
}
