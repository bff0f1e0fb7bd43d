#include "nbd/connection.h"

#include <sys/socket.h>

namespace sprite::nbd {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t input_bytes = 256 * KiB;
constexpr std::size_t output_bytes = 320 * KiB;
/// Replies are sent when this many have gathered even if more requests wait, so that the client works while we do.
constexpr std::size_t replies_enough = 8;
/// Large reads are answered in pieces that stay in the processor's cache.
constexpr std::size_t read_piece_bytes = 256 * KiB;
constexpr std::size_t in_flight_max = 128, in_flight_bytes_max = 64 * MiB;
constexpr std::size_t extents_max = 2048;
constexpr auto no_space_pause = 200ms;

}  // namespace

void Connection::run() {
  input_.resize(input_bytes);
  if (negotiate()) {
    device_ = handshake_.device().get();
    structured_ = handshake_.structured_replies();
    output_.resize(output_bytes);
    while (serve_next()) {
    }
    send_replies();
  }
  finishing_ = true;  // who still waits for space has nobody to answer
  wait_until_landed();
  ::shutdown(socket_.get(), SHUT_RDWR);
}

void Connection::finish() {
  finishing_ = true;
  ::shutdown(socket_.get(), SHUT_RD);
}

void Connection::abort() {
  finishing_ = broken_ = true;
  ::shutdown(socket_.get(), SHUT_RDWR);
}

bool Connection::negotiate() {
  send(Handshake::greeting());
  while (handshake_.state() != Handshake::State::transmission) {
    const std::size_t wanted = handshake_.wants();
    if (!receive_at_least(wanted)) return false;
    const auto answer = handshake_.take({input_.data() + begin_, wanted});
    begin_ += wanted;
    if (!answer) return false;
    if (!answer->empty()) send(*answer);
    if (broken_ || handshake_.state() == Handshake::State::ended) return false;
  }
  return true;
}

/// Waits until `count` unserved bytes are in the input buffer; takes whatever more there is.
bool Connection::receive_at_least(std::size_t count) {
  if (end_ - begin_ >= count) return true;
  if (begin_ > 0) {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }
  if (count > input_.size()) {
    input_.resize(count, end_);
  } else if (end_ == 0 && input_.size() > 4 * MiB) {
    input_.resize(input_bytes);  // one large request is no reason to keep its memory
  }
  while (end_ < count) {
    const ssize_t got = ::recv(socket_.get(), input_.data() + end_, input_.size() - end_, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    end_ += static_cast<std::size_t>(got);
  }
  return true;
}

bool Connection::another_request_waits() const {
  if (end_ - begin_ < Request::wire_bytes) return false;
  const std::byte* at = input_.data() + begin_;
  const bool has_payload = load_big<std::uint16_t>(at + 6) == command::write;
  return !has_payload || end_ - begin_ >= Request::wire_bytes + load_big<std::uint32_t>(at + 24);
}

bool Connection::serve_next() {
  if (!another_request_waits() || replies_waiting_ >= replies_enough) send_replies();
  if (!receive_at_least(Request::wire_bytes)) return false;
  const auto request =
      parse_request(std::span<const std::byte, Request::wire_bytes>(input_.data() + begin_, Request::wire_bytes));
  if (!request || request->command == command::disconnect) return false;
  std::size_t payload_bytes = 0;
  if (request->command == command::write) {
    if (request->length > payload_bytes_max) return false;  // no way to skip that much honestly
    payload_bytes = request->length;
    if (!receive_at_least(Request::wire_bytes + payload_bytes)) return false;
  }
  const ByteView payload(input_.data() + begin_ + Request::wire_bytes, payload_bytes);
  begin_ += Request::wire_bytes + payload_bytes;
  return serve(*request, payload) && !broken_;
}

bool Connection::serve(const Request& request, ByteView payload) {
  if (const Errno refused = check_request(request, device_->size_bytes()); refused != Errno::none) {
    reply(request.cookie, refused);
    return true;
  }
  if (device_->read_only() && changes_device(request.command)) {
    reply(request.cookie, Errno::denied);
    return true;
  }
  switch (request.command) {
    case command::read: return read(request);
    case command::write: return write(request, payload);
    case command::block_status: {
      block_status(request);
      return true;
    }
    default: return defer({request, {}});
  }
}

bool Connection::read(const Request& request) {
  if (request.length > read_piece_bytes) return read_in_pieces(request);
  if (output_used_ + structured_reply_bytes + 8 + request.length > output_.size()) send_replies();
  std::byte* const at = output_.data() + output_used_;
  const std::size_t header_bytes = encode_data_header(at, request);
  if (!device_->read_now(request.offset, {at + header_bytes, request.length})) return defer({request, {}});
  output_used_ += header_bytes + request.length;
  ++replies_waiting_;
  return true;
}

/// The header promises all the data before it is read: if a later piece fails, the connection ends, and the client
/// learns from asking again, in pieces, which part it is. Until then nobody else may send.
bool Connection::read_in_pieces(const Request& request) {
  send_replies();
  std::byte* const header = output_.data();
  std::size_t used = encode_data_header(header, request);
  if (!device_->read_now(request.offset, {header + used, read_piece_bytes})) return defer({request, {}});
  const std::lock_guard hold(send_);
  send_held({header, used + read_piece_bytes});
  for (std::size_t done = read_piece_bytes; done < request.length;) {
    const MutableByteView piece(output_.data(), std::min(request.length - done, read_piece_bytes));
    if (!device_->read_now(request.offset + done, piece) && !device_->read(request.offset + done, piece)) return false;
    send_held(piece);
    done += piece.size();
  }
  return true;
}

bool Connection::write(const Request& request, ByteView payload) {
  const auto written = device_->write(request.offset, payload);
  const bool durable = (request.flags & command_flag::fua) != 0;
  if (written && durable) return defer({request, {}, true});
  if (!written && written.error().kind == Error::Kind::no_space)
    return defer({request, Bytes(payload.begin(), payload.end()), false});
  reply(request.cookie, written ? Errno::none : to_errno(written.error().kind));
  return true;
}

/// Hands a request to the pool; waits while too many are there. False once the connection is to end.
bool Connection::defer(Deferred deferred) {
  send_replies();
  const std::size_t bytes =
      deferred.request.command == command::read ? deferred.request.length : deferred.payload.size();
  {
    std::unique_lock hold(flight_);
    landed_.wait(hold, [&] {
      return broken_ || in_flight_ == 0 ||
             (in_flight_ < in_flight_max && in_flight_bytes_ + bytes <= in_flight_bytes_max);
    });
    if (broken_) return false;
    ++in_flight_;
    in_flight_bytes_ += bytes;
  }
  pool_.post([this, shared = std::make_shared<Deferred>(std::move(deferred))] { carry_out(shared); });
  return true;
}

void Connection::carry_out(const DeferredPointer& deferred) {
  const Request& request = deferred->request;
  if (request.command == command::read) {
    read_deferred(request);
    return retire(request.length);
  }
  const auto done = perform(*deferred);
  if (!done && done.error().kind == Error::Kind::no_space) {
    if (!deferred->waiting) deferred->waiting = std::make_unique<Waiting>(starved_);
    if (!finishing_ && !broken_) return pool_.post([this, deferred] { carry_out(deferred); }, no_space_pause);
    abort();  // unanswered, so that the client sends it again to whoever comes next
    return retire(deferred->payload.size());
  }
  std::byte bytes[structured_reply_bytes + 6];
  send({bytes, encode_reply(bytes, request.cookie, done ? Errno::none : to_errno(done.error().kind))});
  retire(deferred->payload.size());
}

Result<> Connection::perform(Deferred& deferred) {
  const Request& request = deferred.request;
  if (!deferred.data_done) {
    switch (request.command) {
      case command::write: TRY(device_->write(request.offset, deferred.payload)); break;
      case command::trim: TRY(device_->trim(request.offset, request.length)); break;
      // no_hole is not heeded: a sparse disk never reserves space, and a write that finds none waits.
      case command::write_zeroes: TRY(device_->write_zeroes(request.offset, request.length)); break;
      case command::cache: {
        Buffer scratch;
        scratch.resize(std::min<std::size_t>(request.length, MiB));
        for (std::size_t done = 0; done < request.length; done += scratch.size())
          TRY(device_->read(request.offset + done, {scratch.data(), std::min(scratch.size(), request.length - done)}));
        break;
      }
      default: break;
    }
    deferred.data_done = true;
  }
  if (request.command == command::flush || (request.flags & command_flag::fua) != 0) return device_->flush();
  return {};
}

void Connection::read_deferred(const Request& request) {
  Buffer answer;
  answer.resize(structured_reply_bytes + 8 + request.length);
  std::size_t used = encode_data_header(answer.data(), request);
  const auto done = device_->read(request.offset, {answer.data() + used, request.length});
  used = done ? used + request.length : encode_reply(answer.data(), request.cookie, to_errno(done.error().kind));
  send({answer.data(), used});
}

void Connection::block_status(const Request& request) {
  if (!handshake_.allocation_context_chosen()) return reply(request.cookie, Errno::invalid);
  const std::size_t most = (request.flags & command_flag::req_one) != 0 ? 1 : extents_max;
  const auto extents = device_->block_status(request.offset, request.length, most);
  if (!extents) return reply(request.cookie, to_errno(extents.error().kind));
  Writer descriptors;
  descriptors.integer(allocation_context_id);
  for (const Extent& extent : *extents)
    descriptors.integer(static_cast<std::uint32_t>(extent.length_bytes))
        .integer((extent.hole ? extent_flag::hole : 0) | (extent.zero ? extent_flag::zero : 0));
  const Bytes chunk = descriptors.take();
  Bytes answer(structured_reply_bytes);
  encode_structured_reply(answer.data(), LastChunk::yes, reply_type::block_status, request.cookie,
                          static_cast<std::uint32_t>(chunk.size()));
  answer.insert(answer.end(), chunk.begin(), chunk.end());
  send_replies();
  send(answer);
}

void Connection::retire(std::size_t payload_bytes) {
  std::lock_guard hold(flight_);
  --in_flight_;
  in_flight_bytes_ -= payload_bytes;
  landed_.notify_all();  // under the lock: the last one to land may be followed by our destruction
}

void Connection::wait_until_landed() {
  std::unique_lock hold(flight_);
  landed_.wait(hold, [&] { return in_flight_ == 0; });
}

void Connection::reply(std::uint64_t cookie, Errno error) {
  if (output_used_ + structured_reply_bytes + 6 > output_.size()) send_replies();
  output_used_ += encode_reply(output_.data() + output_used_, cookie, error);
  ++replies_waiting_;
}

std::size_t Connection::encode_reply(std::byte* at, std::uint64_t cookie, Errno error) const {
  if (!structured_) {
    encode_simple_reply(at, error, cookie);
    return simple_reply_bytes;
  }
  if (error == Errno::none) {
    encode_structured_reply(at, LastChunk::yes, reply_type::none, cookie, 0);
    return structured_reply_bytes;
  }
  encode_structured_reply(at, LastChunk::yes, reply_type::error, cookie, 6);
  store_big(at + structured_reply_bytes, static_cast<std::uint32_t>(error));
  store_big(at + structured_reply_bytes + 4, std::uint16_t{0});  // no message
  return structured_reply_bytes + 6;
}

std::size_t Connection::encode_data_header(std::byte* at, const Request& request) const {
  if (!structured_ || request.length == 0) return encode_reply(at, request.cookie, Errno::none);
  encode_structured_reply(at, LastChunk::yes, reply_type::offset_data, request.cookie, request.length + 8);
  store_big(at + structured_reply_bytes, request.offset);
  return structured_reply_bytes + 8;
}

void Connection::send_replies() {
  if (output_used_ > 0) send({output_.data(), std::exchange(output_used_, 0)});
  replies_waiting_ = 0;
}

void Connection::send(ByteView bytes) {
  const std::lock_guard hold(send_);
  send_held(bytes);
}

void Connection::send_held(ByteView bytes) {
  while (!bytes.empty() && !broken_) {
    const ssize_t put = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return abort();
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

}  // namespace sprite::nbd
