#pragma once
/// The bytes of NBD: fixed newstyle negotiation and transmission, as the protocol document of the NBD project gives
/// them. Everything here is pure. All integers are big-endian on the wire.
#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace sprite::nbd {

inline constexpr std::uint64_t server_magic = 0x4e42444d41474943;  // "NBDMAGIC"
inline constexpr std::uint64_t option_magic = 0x49484156454f5054;  // "IHAVEOPT"
inline constexpr std::uint64_t option_reply_magic = 0x0003e889045565a9;
inline constexpr std::uint32_t request_magic = 0x25609513;
inline constexpr std::uint32_t simple_reply_magic = 0x67446698;
inline constexpr std::uint32_t structured_reply_magic = 0x668e33ef;

/// Largest read or write we take, and the largest option.
inline constexpr std::uint32_t payload_bytes_max = 32 * 1024 * 1024;
inline constexpr std::uint32_t option_bytes_max = 64 * 1024;
inline constexpr std::uint32_t name_bytes_max = 4096;
inline constexpr std::uint32_t allocation_context_id = 1;
inline constexpr std::string_view allocation_context = "base:allocation";

namespace handshake_flag {
inline constexpr std::uint16_t fixed_newstyle = 1, no_zeroes = 2;
}
namespace option {
inline constexpr std::uint32_t export_name = 1, abort = 2, list = 3, info = 6, go = 7, structured_reply = 8,
                               list_meta_context = 9, set_meta_context = 10;
}
namespace option_reply {
inline constexpr std::uint32_t ack = 1, server = 2, info = 3, meta_context = 4;
inline constexpr std::uint32_t unsupported = 0x80000001, policy = 0x80000002, invalid = 0x80000003,
                               unknown = 0x80000006;
}  // namespace option_reply
namespace info_type {
inline constexpr std::uint16_t export_size = 0, name = 1, block_size = 3;
}
namespace transmission_flag {
inline constexpr std::uint16_t has_flags = 1, read_only = 2, send_flush = 4, send_fua = 8, send_trim = 32,
                               send_write_zeroes = 64, send_df = 128, can_multi_conn = 256, send_cache = 1024,
                               send_fast_zero = 2048;
}
namespace command {
inline constexpr std::uint16_t read = 0, write = 1, disconnect = 2, flush = 3, trim = 4, cache = 5, write_zeroes = 6,
                               block_status = 7;
}
namespace command_flag {
inline constexpr std::uint16_t fua = 1, no_hole = 2, df = 4, req_one = 8, fast_zero = 16;
}
namespace reply_type {
inline constexpr std::uint16_t none = 0, offset_data = 1, block_status = 5, error = 0x8001;
}
namespace extent_flag {
inline constexpr std::uint32_t hole = 1, zero = 2;
}

/// Errors as a reply carries them; numerically Linux's.
enum class Errno : std::uint32_t {
  none = 0,
  denied = 1,
  io = 5,
  invalid = 22,
  no_space = 28,
  overflow = 75,
  unsupported = 95
};
Errno to_errno(Error::Kind kind);

struct Request {
  static constexpr std::size_t wire_bytes = 28;
  std::uint16_t flags = 0, command = 0;
  std::uint64_t cookie = 0, offset = 0;
  std::uint32_t length = 0;
};
/// Errors: invalid (wrong magic: the connection is out of step and must be closed).
Result<Request> parse_request(std::span<const std::byte, Request::wire_bytes> bytes);
/// Whether a device of `size` bytes can carry the request out; what to answer if not.
Errno check_request(const Request& request, std::uint64_t size);
/// Whether the command changes what the device holds.
bool changes_device(std::uint16_t command);

inline constexpr std::size_t simple_reply_bytes = 16, structured_reply_bytes = 20;
void encode_simple_reply(std::byte* at, Errno error, std::uint64_t cookie);
enum class LastChunk { no, yes };
void encode_structured_reply(std::byte* at, LastChunk last, std::uint16_t type, std::uint64_t cookie,
                             std::uint32_t length);

/// Appends integers and text to a message.
class Writer {
 public:
  template <std::unsigned_integral T>
  Writer& integer(T value) {
    bytes_.resize(bytes_.size() + sizeof(T));
    store_big(bytes_.data() + bytes_.size() - sizeof(T), value);
    return *this;
  }
  Writer& raw(ByteView data) {
    bytes_.insert(bytes_.end(), data.begin(), data.end());
    return *this;
  }
  Writer& text(std::string_view text) { return raw(as_bytes(text)); }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

/// Takes integers and text off a message; every take fails once one has.
class Reader {
 public:
  explicit Reader(ByteView bytes) : rest_(bytes) {}
  template <std::unsigned_integral T>
  T integer() {
    const ByteView taken = take(sizeof(T));
    return ok_ ? load_big<T>(taken.data()) : T{};
  }
  std::string_view text(std::size_t length) { return as_text(take(length)); }
  /// Text behind its 32-bit length.
  std::string_view counted_text() { return text(integer<std::uint32_t>()); }
  /// Nothing was missing and nothing is left.
  bool complete() const { return ok_ && rest_.empty(); }
  bool ok() const { return ok_; }

 private:
  ByteView take(std::size_t count) {
    ok_ = ok_ && count <= rest_.size();
    if (!ok_) return {};
    const ByteView taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  ByteView rest_;
  bool ok_ = true;
};

}  // namespace sprite::nbd
