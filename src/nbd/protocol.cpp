#include "nbd/protocol.h"

namespace sprite::nbd {

Errno to_errno(Error::Kind kind) {
  switch (kind) {
    case Error::Kind::no_space: return Errno::no_space;
    case Error::Kind::invalid: return Errno::invalid;
    case Error::Kind::denied: return Errno::denied;
    default: return Errno::io;
  }
}

Result<Request> parse_request(std::span<const std::byte, Request::wire_bytes> bytes) {
  const std::byte* at = bytes.data();
  if (load_big<std::uint32_t>(at) != request_magic)
    return Error{Error::Kind::invalid, "an NBD request does not start with its magic number"};
  return Request{.flags = load_big<std::uint16_t>(at + 4),
                 .command = load_big<std::uint16_t>(at + 6),
                 .cookie = load_big<std::uint64_t>(at + 8),
                 .offset = load_big<std::uint64_t>(at + 16),
                 .length = load_big<std::uint32_t>(at + 24)};
}

namespace {

/// The flags that a command may carry, or nothing for an unknown command.
std::optional<std::uint16_t> allowed_flags(std::uint16_t command) {
  using namespace command_flag;
  switch (command) {
    case command::read: return df;
    case command::write: return fua;
    case command::disconnect: return std::uint16_t{0};
    case command::flush: return fua;
    case command::trim: return fua;
    case command::cache: return std::uint16_t{0};
    case command::write_zeroes: return fua | no_hole | fast_zero;
    case command::block_status: return req_one;
    default: return std::nullopt;
  }
}

}  // namespace

Errno check_request(const Request& request, std::uint64_t size) {
  const auto allowed = allowed_flags(request.command);
  if (!allowed || (request.flags & ~*allowed) != 0) return Errno::invalid;
  if (request.command == command::flush) return Errno::none;  // offset and length are reserved
  const bool carries_data = request.command == command::read || request.command == command::write;
  if (carries_data && request.length > payload_bytes_max) return Errno::invalid;
  if (request.command == command::block_status && request.length == 0) return Errno::invalid;
  if (request.offset > size || request.length > size - request.offset)
    return request.command == command::write || request.command == command::write_zeroes ? Errno::no_space
                                                                                         : Errno::invalid;
  return Errno::none;
}

bool changes_device(std::uint16_t command) {
  return command == command::write || command == command::trim || command == command::write_zeroes;
}

void encode_simple_reply(std::byte* at, Errno error, std::uint64_t cookie) {
  store_big(at, simple_reply_magic);
  store_big(at + 4, static_cast<std::uint32_t>(error));
  store_big(at + 8, cookie);
}

void encode_structured_reply(std::byte* at, LastChunk last, std::uint16_t type, std::uint64_t cookie,
                             std::uint32_t length) {
  store_big(at, structured_reply_magic);
  store_big(at + 4, static_cast<std::uint16_t>(last == LastChunk::yes ? 1 : 0));
  store_big(at + 6, type);
  store_big(at + 8, cookie);
  store_big(at + 16, length);
}

}  // namespace sprite::nbd
