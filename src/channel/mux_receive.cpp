#include <fmt/format.h>
#include <boost/asio/error.hpp>
#include <cstring>

#include "channel/mux.h"

namespace sprite::channel {

namespace {

Error violation(std::string_view what) {
  return Error{Error::Kind::corrupt, "the other end of the channel broke the protocol", "", {std::string(what)}};
}

}  // namespace

Result<std::size_t> Mux::receive(ByteView bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto rest = bytes.subspan(at);
    if (seeking_) {
      Result<> outcome;
      const std::size_t used = seek(rest, outcome);
      TRY(outcome);
      at += used;
      if (used == 0) break;
      continue;
    }
    const auto parsed = parse_frame(seed_, rest);
    if (parsed.state == Parsed::State::incomplete) break;
    if (parsed.state == Parsed::State::broken) {
      if (role_ == Role::host) return violation("a frame is broken");
      seeking_ = true;  // the host died in the middle of a frame, or repeats its HELLO
      seeker_.restart();
      continue;
    }
    TRY(take(parsed.frame));
    at += parsed.frame.size();
  }
  return at;
}

/// Looks for the greeting that begins an epoch; says how many bytes are of no further use.
std::size_t Mux::seek(ByteView bytes, Result<>& outcome) {
  if (role_ == Role::host) {
    const auto found = seek_acknowledge(own_.nonce, bytes);
    if (found.greeting && found.greeting->version != protocol_version)
      outcome = Error{Error::Kind::unavailable,
                      fmt::format("the agent speaks version {} of the channel's protocol, this program {}",
                                  found.greeting->version, protocol_version),
                      "restart the sprite with a current image"};
    else if (found.greeting)
      begin_epoch(*found.greeting);
    return found.consumed;
  }
  const auto found = seeker_.feed(bytes);
  if (found.noise && established_) kill_all();
  if (found.greeting) {
    if (!established_ || found.greeting->nonce != own_.nonce) {
      kill_all();
      begin_epoch(*found.greeting);
    }
    seeking_ = !established_;
    acknowledge_due_ = true;  // a host of another version learns ours from it
  }
  return found.consumed;
}

void Mux::begin_epoch(const Greeting& peer) {
  own_.nonce = peer.nonce;
  peer_ = peer;
  seed_ = epoch_seed(peer.nonce);
  established_ = peer.version == protocol_version;
  seeking_ = false;
  next_id_ = role_ == Role::host ? 1 : 2;
  highest_peer_id_ = 0;
}

Result<> Mux::take(const Frame& frame) {
  if (frame.kind == Kind::acknowledge) return take_acknowledge(frame);
  if (frame.kind == Kind::open) return take_open(frame);
  if (frame.kind < Kind::data || frame.kind > Kind::credit) return violation("a frame has an unknown kind");
  const auto found = table_.find(frame.stream);
  if (found == table_.end()) {
    const bool was_open = is_peers(frame.stream) ? frame.stream <= highest_peer_id_ : frame.stream < next_id_;
    if (frame.stream == 0 || !was_open) return violation("a frame names a stream that was never opened");
    return {};  // it crossed our reset, or our forgetting
  }
  const StreamRef stream = found->second;
  switch (frame.kind) {
    case Kind::data: return take_data(*stream, frame.payload);
    case Kind::credit: return take_credit(*stream, frame.payload);
    case Kind::end: return frame.payload.empty() ? take_end(*stream) : violation("an END has a payload");
    default: take_reset(*stream); return {};
  }
}

Result<> Mux::take_open(const Frame& frame) {
  if (!is_peers(frame.stream) || frame.stream <= highest_peer_id_) return violation("a stream was opened twice");
  if (!frame.payload.empty()) return violation("an OPEN has a payload");
  highest_peer_id_ = frame.stream;
  if (is_full()) {
    if (refused_.size() >= limits_.streams_max) return violation("streams are opened faster than they can be refused");
    refused_.push_back(frame.stream);
    return {};
  }
  auto stream = std::make_shared<StreamState>();
  stream->id = frame.stream;
  stream->may_send = peer_.window_bytes;
  stream->may_receive = own_.window_bytes;
  table_.emplace(stream->id, stream);
  ++owned_;
  accepted_.push_back(std::move(stream));
  return {};
}

Result<> Mux::take_data(StreamState& stream, ByteView payload) {
  if (payload.empty()) return violation("a DATA frame is empty");
  if (stream.end_received) return violation("data follows the end of its stream");
  if (payload.size() > stream.may_receive) return violation("more data than the window allows");
  stream.may_receive -= static_cast<std::uint32_t>(payload.size());
  if (stream.closed || stream.dead) return {};
  if (stream.read_done) {
    const std::size_t bytes = std::min(stream.read_into.size(), payload.size());
    std::memcpy(stream.read_into.data(), payload.data(), bytes);
    complete(stream.read_done, {}, bytes);
    consume(stream, bytes);
    payload = payload.subspan(bytes);
  }
  if (payload.empty()) return {};
  if (unread_bytes_ + payload.size() > limits_.unread_bytes_max) {
    stream.reset_due = true;  // memory has a limit, and this stream's reader is late
    kill(stream);
    enlist(stream);
    return {};
  }
  if (stream.unread_at > stream.unread.size() / 2) {
    stream.unread.erase(stream.unread.begin(), stream.unread.begin() + static_cast<std::ptrdiff_t>(stream.unread_at));
    stream.unread_at = 0;
  }
  stream.unread.insert(stream.unread.end(), payload.begin(), payload.end());
  unread_bytes_ += payload.size();
  return {};
}

Result<> Mux::take_end(StreamState& stream) {
  if (std::exchange(stream.end_received, true)) return violation("a stream ended twice");
  complete(stream.read_done, asio::error::eof, 0);
  forget_if_finished(stream);
  return {};
}

Result<> Mux::take_credit(StreamState& stream, ByteView payload) {
  if (payload.size() != 4) return violation("a CREDIT has the wrong length");
  const auto bytes = load_little<std::uint32_t>(payload.data());
  if (bytes == 0 || bytes > peer_.window_bytes - stream.may_send) return violation("more credit than the window");
  stream.may_send += bytes;
  enlist(stream);
  return {};
}

void Mux::take_reset(StreamState& stream) {
  stream.reset_due = false;
  table_.erase(stream.id);
  kill(stream);
}

Result<> Mux::take_acknowledge(const Frame& frame) const {
  const auto greeting = decode_greeting(frame);  // the answer to a HELLO that we had repeated
  if (role_ == Role::host && greeting && greeting->nonce == own_.nonce) return {};
  return violation("an acknowledgement makes no sense here");
}

/// Whether the peer gives out this number: a host's are odd, a guest's even.
bool Mux::is_peers(std::uint32_t id) const { return (id % 2 == 1) == (role_ == Role::guest); }

}  // namespace sprite::channel
