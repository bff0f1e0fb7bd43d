#include "channel/mux.h"

#include <boost/asio/error.hpp>
#include <cstring>

namespace sprite::channel {

namespace error = asio::error;

Mux::Mux(Role role, Limits limits, const Nonce& nonce) : role_(role), limits_(limits) {
  own_.nonce = nonce;
  own_.window_bytes = limits.window_bytes;
  own_.streams_max = static_cast<std::uint32_t>(limits.streams_max);
  if (limits.window_bytes < window_bytes_min || limits.window_bytes > window_bytes_max || limits.streams_max < 1 ||
      limits.streams_max > streams_limit)
    die("channel: limits out of range");
}

Result<StreamRef> Mux::open() {
  if (!established_) return Error{Error::Kind::unavailable, "the channel has no connection"};
  if (is_full() || table_.size() >= peer_.streams_max)
    return Error{Error::Kind::busy, "the channel has too many streams",
                 "end some of the running commands or connections"};
  if (next_id_ > UINT32_MAX - 2) return Error{Error::Kind::unavailable, "the channel has used up its stream numbers"};
  auto stream = std::make_shared<StreamState>();
  stream->id = next_id_;
  next_id_ += 2;
  stream->may_send = peer_.window_bytes;
  stream->may_receive = own_.window_bytes;
  stream->open_due = true;
  table_.emplace(stream->id, stream);
  ++owned_;
  enlist(*stream);
  return stream;
}

void Mux::read(StreamState& stream, asio::mutable_buffer into, Transport::Callback done) {
  stream.read_into = into;
  stream.read_done = std::move(done);
  if (stream.closed)
    complete(stream.read_done, error::operation_aborted, 0);
  else if (into.size() == 0 || stream.unread_at < stream.unread.size())
    deliver_unread(stream);
  else if (stream.end_received)
    complete(stream.read_done, error::eof, 0);
  else if (stream.dead)
    complete(stream.read_done, error::connection_reset, 0);
}

void Mux::write(const StreamRef& stream, asio::const_buffer from, Transport::Callback done) {
  stream->write_done = std::move(done);
  stream->write_bytes = from.size();
  if (stream->closed) return complete(stream->write_done, error::operation_aborted, 0);
  if (stream->end_wanted) return complete(stream->write_done, error::broken_pipe, 0);
  if (stream->dead) return complete(stream->write_done, error::connection_reset, 0);
  if (from.size() == 0) return complete(stream->write_done, {}, 0);
  stream->write_rest = {static_cast<const std::byte*>(from.data()), from.size()};
  enlist(*stream);
}

void Mux::shutdown_send(const StreamRef& stream) {
  stream->end_wanted = true;
  enlist(*stream);
}

void Mux::close(const StreamRef& stream) {
  if (std::exchange(stream->closed, true)) return;
  --owned_;
  if (stream->write_done) stream->end_wanted = false;  // what was cut off must not look complete
  stream->write_rest = {};
  complete(stream->read_done, error::operation_aborted, 0);
  complete(stream->write_done, error::operation_aborted, 0);
  drop_unread(*stream);
  if (stream->dead) return;
  if (stream->open_due) {  // the peer never heard of it
    stream->dead = true;
    table_.erase(stream->id);
    return;
  }
  stream->reset_due = !(stream->end_wanted && stream->end_received);
  enlist(*stream);
}

void Mux::end_epoch() {
  seeking_ = true;
  seeker_.restart();
  kill_all();
}

/// Ends what there is of an epoch, and leaves the search for the next one as it is.
void Mux::kill_all() {
  established_ = false;
  acknowledge_due_ = false;
  tail_.clear();
  tail_at_ = 0;
  refused_.clear();
  for (const auto& stream : ready_) stream->listed = false;
  ready_.clear();
  for (auto& [id, stream] : std::exchange(table_, {})) kill(*stream);
}

/// Dead streams count as long as their owners hold them, and closed ones until the peer was told.
bool Mux::is_full() const { return std::max(table_.size(), owned_) >= limits_.streams_max; }

/// Hands a waiting callback over to be called; does nothing if there is none.
void Mux::complete(Transport::Callback& done, boost::system::error_code failed, std::size_t bytes) {
  if (done) completions_.push_back({std::exchange(done, {}), failed, bytes});
}

/// Gives the waiting read what has arrived.
void Mux::deliver_unread(StreamState& stream) {
  const std::size_t bytes = std::min(stream.read_into.size(), stream.unread.size() - stream.unread_at);
  if (bytes > 0) std::memcpy(stream.read_into.data(), stream.unread.data() + stream.unread_at, bytes);
  stream.unread_at += bytes;
  unread_bytes_ -= bytes;
  if (stream.unread_at == stream.unread.size()) drop_unread(stream);
  complete(stream.read_done, {}, bytes);
  consume(stream, bytes);
}

/// Forgets what has arrived, and gives its memory back.
void Mux::drop_unread(StreamState& stream) {
  unread_bytes_ -= stream.unread.size() - stream.unread_at;
  stream.unread = {};
  stream.unread_at = 0;
}

void Mux::consume(StreamState& stream, std::size_t bytes) {
  stream.consumed += static_cast<std::uint32_t>(bytes);
  enlist(stream);
}

/// The stream is over, whatever its state was. What has arrived can still be read, and an end that has is still one.
void Mux::kill(StreamState& stream) {
  stream.dead = true;
  stream.write_rest = {};
  complete(stream.write_done, error::connection_reset, 0);
  complete(stream.read_done, error::connection_reset, 0);
}

/// Takes a stream out of the table when neither end will send on it again.
void Mux::forget_if_finished(StreamState& stream) {
  if (stream.end_sent && stream.end_received && !stream.reset_due) table_.erase(stream.id);
}

void Mux::enlist(StreamState& stream) {
  if (stream.listed || !is_ready(stream)) return;
  const auto found = table_.find(stream.id);
  if (found == table_.end() || found->second.get() != &stream) return;  // of an earlier epoch, or finished
  stream.listed = true;
  ready_.push_back(found->second);
}

bool Mux::wants_credit(const StreamState& stream) const {
  return stream.consumed >= own_.window_bytes / 2 && !stream.end_received && !stream.dead && !stream.closed;
}

bool Mux::is_ready(const StreamState& stream) const {
  if (stream.reset_due) return true;
  if (stream.dead) return false;
  if (stream.open_due || wants_credit(stream)) return true;
  if (!stream.write_rest.empty()) return stream.may_send > 0;
  return stream.end_wanted && !stream.end_sent;
}

}  // namespace sprite::channel
