#pragma once
/// The bytes of one frame, and how to find the two frames that begin an epoch in a transport that starts anywhere.
/// Pure: no I/O, no state but the seekers' own. PROTOCOL.md has the format.
#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/bytes.h"

namespace sprite::channel {

constexpr std::uint32_t protocol_version = 1;
constexpr std::size_t header_bytes = 16;
constexpr std::size_t frame_bytes_max = 32 * KiB;  ///< What a virtio port takes in one write.
constexpr std::size_t payload_bytes_max = frame_bytes_max - header_bytes;
/// A write of at most so much becomes one frame wherever the peer's window allows it, and so one read at the other end.
/// Two of them fit a port's write.
constexpr std::size_t whole_bytes = frame_bytes_max / 2 - header_bytes;
/// So many zero bytes before a HELLO make it one: more than any sequence of frames can hold.
constexpr std::size_t silence_bytes = 33 * KiB;
/// What a host sends of them: a half frame may take up some, even validly if its content ended in zeros.
constexpr std::size_t silence_sent_bytes = silence_bytes + frame_bytes_max;
constexpr std::uint32_t window_bytes_min = 4 * KiB, window_bytes_max = 16 * MiB;
constexpr std::uint32_t streams_limit = 65536;

enum class Kind : std::uint8_t { hello = 1, acknowledge, open, data, end, reset, credit };

using Nonce = std::array<std::byte, 16>;

/// What HELLO and ACKNOWLEDGE say: whose epoch it is, and what the sender of the frame grants.
struct Greeting {
  Nonce nonce{};
  std::uint32_t version = protocol_version;
  std::uint32_t window_bytes = 0;  ///< How much the other may send on a stream before it gets credit.
  std::uint32_t streams_max = 0;   ///< How many streams the other may have open.
};
constexpr std::size_t greeting_bytes = header_bytes + 28;

/// The seed of every frame's checksum in the epoch of `nonce`; frames of another epoch fail it.
std::uint64_t epoch_seed(const Nonce& nonce);
/// A HELLO belongs to no epoch yet.
constexpr std::uint64_t hello_seed = 1;
/// The checksum of a frame: of its header but for the checksum itself, and of its payload.
std::uint32_t frame_check(std::uint64_t seed, ByteView header, ByteView payload);

/// The header of a frame with this payload.
std::array<std::byte, header_bytes> encode_header(std::uint64_t seed, Kind kind, std::uint32_t stream,
                                                  ByteView payload);
/// A whole HELLO (without the silence before it) or ACKNOWLEDGE.
std::array<std::byte, greeting_bytes> encode_greeting(Kind kind, const Greeting& greeting);

/// One frame, its payload inside the buffer that was parsed.
struct Frame {
  Kind kind{};
  std::uint32_t stream = 0;
  ByteView payload;

  std::size_t size() const { return header_bytes + payload.size(); }
};

/// What stands at the beginning of a buffer. `incomplete` is only said of what can still become a frame.
struct Parsed {
  enum class State { incomplete, frame, broken };
  State state = State::incomplete;
  Frame frame{};
};
Parsed parse_frame(std::uint64_t seed, ByteView bytes);

/// The greeting in a frame that parse_frame() accepted, if its length and limits are right.
std::optional<Greeting> decode_greeting(const Frame& frame);

/// The guest's search for a HELLO in bytes of unknown origin. Only one behind `silence_bytes` zeros counts, which no
/// stream's content can imitate. Feed it what was read; it keeps how many zeros it has seen.
class HelloSeeker {
 public:
  struct Found {
    std::size_t consumed = 0;  ///< Bytes that need not be shown again; the rest is the start of what may be a HELLO.
    std::optional<Greeting> greeting{};
    bool noise = false;  ///< Something that was neither silence nor a HELLO went by.
  };
  Found feed(ByteView bytes);
  void restart() { zeros_ = 0; }

 private:
  std::size_t zeros_ = 0;
};

/// The host's search for the ACKNOWLEDGE of `nonce`, which nothing older can contain.
struct AcknowledgeFound {
  std::size_t consumed = 0;
  std::optional<Greeting> greeting{};
};
AcknowledgeFound seek_acknowledge(const Nonce& nonce, ByteView bytes);

}  // namespace sprite::channel
