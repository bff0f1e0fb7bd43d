#include <algorithm>

#include "channel/mux.h"

namespace sprite::channel {

namespace {

/// A frame of data shorter than this waits for the next batch, unless it is all there is to send.
constexpr std::size_t scrap_bytes = 4 * KiB;

/// Frames in one batch: their headers and payloads stay below IOV_MAX.
constexpr std::size_t slots_max = 256;

}  // namespace

void Mux::say_hello() {
  if (!tail_.empty()) return;
  const auto hello = encode_greeting(Kind::hello, own_);
  tail_.assign(silence_sent_bytes, std::byte{});
  tail_.insert(tail_.end(), hello.begin(), hello.end());
}

std::span<const iovec> Mux::plan(std::size_t budget) {
  slots_.clear();
  planned_bytes_ = tail_.size() - tail_at_;
  if (acknowledge_due_) {
    Slot slot{.kind = Kind::acknowledge};
    slot.head = encode_greeting(Kind::acknowledge, {own_.nonce, protocol_version, own_.window_bytes, own_.streams_max});
    slot.head_bytes = greeting_bytes;
    planned_bytes_ += slot.size();
    slots_.push_back(slot);
  }
  for (std::size_t i = 0; i < refused_.size() && slots_.size() < slots_max; ++i) add_slot(Kind::reset, refused_[i], {});
  for (bool more = true; more;) {  // a round gives each stream one frame of data
    more = false;
    for (std::size_t position = 0; position < ready_.size(); ++position)
      if (plan_stream(*ready_[position], position, budget)) more = true;
  }
  gather();
  return gathered_;
}

void Mux::commit(std::size_t sent_bytes) {
  const std::size_t from_tail = std::min(sent_bytes, tail_.size() - tail_at_);
  tail_at_ += from_tail;
  sent_bytes -= from_tail;
  if (tail_at_ == tail_.size()) {
    tail_.clear();
    tail_at_ = 0;
  }
  std::size_t next = 0;  // position of the stream that is served first next time
  for (const Slot& slot : slots_) {
    if (slot.stream) {
      slot.stream->planned_bytes = 0;
      slot.stream->planned_open = slot.stream->planned_end = slot.stream->planned_credit = slot.stream->planned_reset =
          false;
    }
    if (sent_bytes == 0) continue;
    if (slot.stream) next = slot.position + 1;
    const std::size_t bytes = std::min(sent_bytes, slot.size());
    sent_bytes -= bytes;
    if (bytes < slot.size()) keep_tail(slot, bytes);
    sent(slot);
  }
  slots_.clear();
  std::rotate(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(next), ready_.end());
  std::erase_if(ready_, [this](const StreamRef& stream) { return !(stream->listed = is_ready(*stream)); });
}

/// Adds what the stream may send now: at most one frame of each kind. Says whether it added any.
bool Mux::plan_stream(StreamState& stream, std::size_t position, std::size_t budget) {
  if (slots_.size() + 5 > slots_max || planned_bytes_ >= budget) return false;
  const std::size_t before = slots_.size();
  if (stream.open_due && !stream.dead && !std::exchange(stream.planned_open, true))
    add_stream_slot(Kind::open, stream, position, {});
  if (!stream.dead && wants_credit(stream) && !std::exchange(stream.planned_credit, true))
    add_stream_slot(Kind::credit, stream, position, {});
  const bool rest_planned = plan_data(stream, position, budget);
  if (stream.end_wanted && rest_planned && !stream.dead && !stream.end_sent && !std::exchange(stream.planned_end, true))
    add_stream_slot(Kind::end, stream, position, {});
  if (stream.reset_due && !std::exchange(stream.planned_reset, true))
    add_stream_slot(Kind::reset, stream, position, {});
  return slots_.size() > before;
}

/// Adds one frame of data if the windows and the budget allow. Says whether nothing of the write remains unplanned.
bool Mux::plan_data(StreamState& stream, std::size_t position, std::size_t budget) {
  const auto rest = stream.write_rest.subspan(stream.planned_bytes);
  if (rest.empty() || stream.dead) return rest.empty();
  const std::size_t room = budget > planned_bytes_ + header_bytes ? budget - planned_bytes_ - header_bytes : 0;
  const std::size_t wanted = std::min({rest.size(), payload_bytes_max, stream.may_send - stream.planned_bytes});
  const std::size_t bytes = std::min(wanted, room);
  if (bytes == 0 || (bytes < wanted && (bytes < scrap_bytes || wanted <= whole_bytes))) return false;
  add_stream_slot(Kind::data, stream, position, rest.first(bytes));
  stream.planned_bytes += bytes;
  return bytes == rest.size();
}

Mux::Slot& Mux::add_slot(Kind kind, std::uint32_t id, ByteView payload) {
  Slot& slot = slots_.emplace_back(Slot{.kind = kind, .payload = payload});
  std::ranges::copy(encode_header(seed_, kind, id, payload), slot.head.begin());
  slot.head_bytes = header_bytes;
  planned_bytes_ += slot.size();
  return slot;
}

void Mux::add_stream_slot(Kind kind, StreamState& stream, std::size_t position, ByteView payload) {
  std::array<std::byte, 4> amount{};
  if (kind == Kind::credit) {
    store_little(amount.data(), stream.consumed);
    payload = amount;
  }
  Slot& slot = add_slot(kind, stream.id, payload);
  slot.stream = &stream;
  slot.position = position;
  if (kind == Kind::credit) {  // small enough to live in the slot
    std::ranges::copy(amount, slot.head.begin() + header_bytes);
    slot.head_bytes += amount.size();
    slot.payload = {};
  }
}

/// Makes the list of pieces to write from the tail and the slots.
void Mux::gather() {
  gathered_.clear();
  const auto add = [this](const std::byte* data, std::size_t bytes) {
    if (bytes > 0) gathered_.push_back({const_cast<std::byte*>(data), bytes});
  };
  add(tail_.data() + tail_at_, tail_.size() - tail_at_);
  for (const Slot& slot : slots_) {
    add(slot.head.data(), slot.head_bytes);
    add(slot.payload.data(), slot.payload.size());
  }
}

/// The frame counts as sent: the transport has it, or the tail has its rest.
void Mux::sent(const Slot& slot) {
  if (slot.kind == Kind::acknowledge) return void(acknowledge_due_ = false);
  if (!slot.stream) return refused_.pop_front();
  StreamState& stream = *slot.stream;
  switch (slot.kind) {
    case Kind::open: stream.open_due = false; break;
    case Kind::data:
      stream.may_send -= static_cast<std::uint32_t>(slot.payload.size());
      stream.write_rest = stream.write_rest.subspan(slot.payload.size());
      if (stream.write_rest.empty()) complete(stream.write_done, {}, stream.write_bytes);
      break;
    case Kind::credit:
      stream.may_receive += load_little<std::uint32_t>(&slot.head[header_bytes]);
      stream.consumed -= load_little<std::uint32_t>(&slot.head[header_bytes]);
      break;
    case Kind::end:
      stream.end_sent = true;
      forget_if_finished(stream);
      break;
    default:
      stream.reset_due = false;
      stream.dead = true;
      table_.erase(stream.id);
  }
}

void Mux::keep_tail(const Slot& slot, std::size_t sent_bytes) {
  const ByteView head{slot.head.data(), slot.head_bytes};
  const std::size_t from_head = std::min(sent_bytes, head.size());
  tail_.assign(head.begin() + static_cast<std::ptrdiff_t>(from_head), head.end());
  tail_.insert(tail_.end(), slot.payload.begin() + static_cast<std::ptrdiff_t>(sent_bytes - from_head),
               slot.payload.end());
  tail_at_ = 0;
}

}  // namespace sprite::channel
