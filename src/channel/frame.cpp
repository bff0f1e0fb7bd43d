#include "channel/frame.h"

#include <algorithm>
#include <cstring>

#include "channel/checksum.h"

namespace sprite::channel {

namespace {

constexpr std::byte magic{0xC5};
constexpr std::size_t checked_bytes = header_bytes - 4;
/// Set in every checksum, so that a header never ends in a zero byte: a run of zeros is then never longer than a
/// payload.
constexpr std::uint32_t never_zero = 0x8000'0000;

/// How many zero bytes `bytes` begins with.
std::size_t count_zeros(ByteView bytes) {
  std::size_t count = 0;
  for (std::uint64_t word = 0; count + sizeof(word) <= bytes.size(); count += sizeof(word)) {
    std::memcpy(&word, &bytes[count], sizeof(word));
    if (word != 0) break;
  }
  while (count < bytes.size() && bytes[count] == std::byte{}) ++count;
  return count;
}

bool limits_are_right(const Greeting& greeting) {
  return greeting.window_bytes >= window_bytes_min && greeting.window_bytes <= window_bytes_max &&
         greeting.streams_max >= 1 && greeting.streams_max <= streams_limit;
}

}  // namespace

std::uint64_t epoch_seed(const Nonce& nonce) { return mix(hello_seed, nonce); }

std::uint32_t frame_check(std::uint64_t seed, ByteView header, ByteView payload) {
  return finish(mix(mix(seed, header.first(checked_bytes)), payload)) | never_zero;
}

std::array<std::byte, header_bytes> encode_header(std::uint64_t seed, Kind kind, std::uint32_t stream,
                                                  ByteView payload) {
  std::array<std::byte, header_bytes> header{};
  header[0] = magic;
  header[1] = static_cast<std::byte>(kind);
  store_little(&header[4], stream);
  store_little(&header[8], static_cast<std::uint32_t>(payload.size()));
  store_little(&header[12], frame_check(seed, header, payload));
  return header;
}

std::array<std::byte, greeting_bytes> encode_greeting(Kind kind, const Greeting& greeting) {
  std::array<std::byte, greeting_bytes> bytes{};
  const std::span payload = std::span(bytes).subspan<header_bytes>();
  std::ranges::copy(greeting.nonce, payload.begin());
  store_little(&payload[16], greeting.version);
  store_little(&payload[20], greeting.window_bytes);
  store_little(&payload[24], greeting.streams_max);
  const auto seed = kind == Kind::hello ? hello_seed : epoch_seed(greeting.nonce);
  std::ranges::copy(encode_header(seed, kind, 0, payload), bytes.begin());
  return bytes;
}

Parsed parse_frame(std::uint64_t seed, ByteView bytes) {
  using enum Parsed::State;
  if (bytes.empty()) return {incomplete};
  if (bytes[0] != magic) return {broken};
  if (bytes.size() < header_bytes) return {incomplete};
  const auto length = load_little<std::uint32_t>(&bytes[8]);
  if (length > payload_bytes_max) return {broken};
  if (bytes.size() < header_bytes + length) return {incomplete};
  const auto payload = bytes.subspan(header_bytes, length);
  if (load_little<std::uint32_t>(&bytes[12]) != frame_check(seed, bytes.first(header_bytes), payload)) return {broken};
  return {frame, {static_cast<Kind>(bytes[1]), load_little<std::uint32_t>(&bytes[4]), payload}};
}

std::optional<Greeting> decode_greeting(const Frame& frame) {
  if (frame.stream != 0 || frame.size() != greeting_bytes) return {};
  Greeting greeting;
  std::ranges::copy(frame.payload.first<16>(), greeting.nonce.begin());
  greeting.version = load_little<std::uint32_t>(&frame.payload[16]);
  greeting.window_bytes = load_little<std::uint32_t>(&frame.payload[20]);
  greeting.streams_max = load_little<std::uint32_t>(&frame.payload[24]);
  if (!limits_are_right(greeting)) return {};
  return greeting;
}

HelloSeeker::Found HelloSeeker::feed(ByteView bytes) {
  Found found;
  while (found.consumed < bytes.size()) {
    const auto rest = bytes.subspan(found.consumed);
    const std::size_t silence = count_zeros(rest);
    zeros_ += silence;
    found.consumed += silence;
    if (silence == rest.size()) return found;
    if (zeros_ >= silence_bytes) {
      const auto here = rest.subspan(silence);
      const auto parsed = parse_frame(hello_seed, here.first(std::min(here.size(), greeting_bytes)));
      if (parsed.state == Parsed::State::incomplete && here.size() < greeting_bytes) return found;
      if (parsed.state == Parsed::State::frame && parsed.frame.kind == Kind::hello)
        found.greeting = decode_greeting(parsed.frame);
    }
    zeros_ = 0;
    found.consumed += found.greeting ? greeting_bytes : 1;
    if (found.greeting) return found;
    found.noise = true;
  }
  return found;
}

AcknowledgeFound seek_acknowledge(const Nonce& nonce, ByteView bytes) {
  const auto seed = epoch_seed(nonce);
  std::size_t from = 0;
  while (from < bytes.size()) {
    const auto rest = bytes.subspan(from);
    const auto* at = static_cast<const std::byte*>(::memmem(rest.data(), rest.size(), nonce.data(), nonce.size()));
    if (!at) break;
    const auto position = static_cast<std::size_t>(at - bytes.data());
    if (position >= header_bytes) {
      const auto start = position - header_bytes;
      if (bytes.size() - start < greeting_bytes) return {start};
      const auto parsed = parse_frame(seed, bytes.subspan(start, greeting_bytes));
      if (parsed.state == Parsed::State::frame && parsed.frame.kind == Kind::acknowledge) {
        if (const auto greeting = decode_greeting(parsed.frame)) return {start + greeting_bytes, greeting};
      }
    }
    from = position + 1;
  }
  // A header and all but the last byte of the nonce may already be here.
  constexpr std::size_t keep = header_bytes + sizeof(Nonce) - 1;
  return {bytes.size() > keep ? bytes.size() - keep : 0};
}

}  // namespace sprite::channel
