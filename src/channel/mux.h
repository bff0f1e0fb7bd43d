#pragma once
/// Mux: the channel without its transport. Bytes that came in go into receive(); plan() says which bytes go out next.
///
/// An epoch begins when host and guest know the same nonce, and ends with the next HELLO, with the transport, or with a
/// broken frame. A stream is in the table from open (or OPEN) until both ends are finished with it, or either reset it,
/// or the epoch ended; its StreamState lives as long as somebody holds it, so that what had arrived can still be read.
/// Nothing the peer sends makes the Mux hold more than `Limits` allow: streams are counted, each has its window, all
/// unread bytes have one limit, and every frame that has to go out is a flag of its stream, never an item of a queue.
/// Not thread safe. It never calls out: what is to be called is collected and taken with take_completions().
#include <sys/uio.h>

#include <deque>
#include <memory>
#include <unordered_map>

#include "base/result.h"
#include "base/stream.h"
#include "channel/frame.h"
#include "channel/link.h"

namespace sprite::channel {

/// A stream as the Mux sees it. Only the Mux touches its members.
struct StreamState {
  std::uint32_t id = 0;

  // Receiving.
  Bytes unread;  ///< Arrived and not yet asked for; begins at `unread_at`.
  std::size_t unread_at = 0;
  asio::mutable_buffer read_into;  ///< Where the waiting read puts its bytes.
  Transport::Callback read_done;   ///< The waiting read, or empty.
  std::uint32_t may_receive = 0;   ///< What the peer may still send.
  std::uint32_t consumed = 0;      ///< What the peer may send again and was not told so yet.
  bool end_received = false;

  // Sending.
  ByteView write_rest;             ///< What the waiting write has still to hand over.
  std::size_t write_bytes = 0;     ///< The size of the waiting write.
  Transport::Callback write_done;  ///< The waiting write, or empty.
  std::uint32_t may_send = 0;
  bool open_due = false;
  bool end_wanted = false;  ///< shutdown_send() was called.
  bool end_sent = false;
  bool reset_due = false;

  bool dead = false;    ///< Reset by the peer, by a limit, or by the end of its epoch.
  bool closed = false;  ///< Its owner has let go of it.
  bool listed = false;  ///< It is in the list of streams that have something to send.

  // What plan() has put into the present batch.
  std::size_t planned_bytes = 0;
  bool planned_open = false, planned_end = false, planned_credit = false, planned_reset = false;
};
using StreamRef = std::shared_ptr<StreamState>;

class Mux {
 public:
  struct Limits {
    std::size_t streams_max = 1024;
    std::uint32_t window_bytes = 256 * KiB;
    std::size_t unread_bytes_max = 64 * MiB;
  };
  /// A callback of a stream's user whose turn has come.
  struct Completion {
    Transport::Callback done;
    boost::system::error_code failed;
    std::size_t bytes = 0;
  };

  /// `nonce` names the epoch that a host begins; a guest's is not used.
  Mux(Role role, Limits limits, const Nonce& nonce);
  Mux(Mux&&) = delete;

  bool established() const { return established_; }

  /// A new stream. Errors: unavailable (no epoch), busy (too many streams).
  Result<StreamRef> open();
  void read(StreamState& stream, asio::mutable_buffer into, Transport::Callback done);
  void write(const StreamRef& stream, asio::const_buffer from, Transport::Callback done);
  void shutdown_send(const StreamRef& stream);
  /// The owner lets go: waiting operations are aborted, an unfinished stream is reset. Every stream must be closed
  /// once.
  void close(const StreamRef& stream);

  /// Takes what it can use from the front of `bytes` and says how much that was; the rest (less than a frame) is to be
  /// shown again with more behind it. Errors: corrupt (the peer broke the protocol; the link must be closed),
  /// unavailable (another version of the protocol).
  Result<std::size_t> receive(ByteView bytes);

  /// Host: sends a HELLO, unless one is still on its way.
  void say_hello();
  /// Ends the epoch: every stream is dead, and what was to be sent is forgotten.
  void end_epoch();

  /// The bytes to send next, at most about `budget` (at least frame_bytes_max); valid until the next call of anything.
  /// Must be followed by commit().
  std::span<const iovec> plan(std::size_t budget);
  /// The transport took the first `sent` bytes of the plan.
  void commit(std::size_t sent);

  std::vector<Completion> take_completions() { return std::exchange(completions_, {}); }
  /// Streams that the peer opened since the last call.
  std::vector<StreamRef> take_accepted() { return std::exchange(accepted_, {}); }
  /// Whether plan() would have something to say.
  bool has_output() const { return !tail_.empty() || acknowledge_due_ || !refused_.empty() || !ready_.empty(); }
  bool has_events() const { return !completions_.empty() || !accepted_.empty(); }

  std::size_t unread_bytes() const { return unread_bytes_; }
  std::size_t streams() const { return table_.size(); }

 private:
  /// A frame of the present batch.
  struct Slot {
    Kind kind{};
    StreamState* stream = nullptr;  ///< None for an acknowledgement or a refusal.
    std::size_t position = 0;       ///< Of the stream in ready_.
    std::array<std::byte, greeting_bytes> head{};
    std::size_t head_bytes = 0;
    ByteView payload{};

    std::size_t size() const { return head_bytes + payload.size(); }
  };

  // mux.cpp: streams as their users see them
  bool is_full() const;
  void complete(Transport::Callback& done, boost::system::error_code failed, std::size_t bytes);
  void deliver_unread(StreamState& stream);
  void drop_unread(StreamState& stream);
  void consume(StreamState& stream, std::size_t bytes);
  void kill(StreamState& stream);
  void kill_all();
  void forget_if_finished(StreamState& stream);
  void enlist(StreamState& stream);
  bool wants_credit(const StreamState& stream) const;
  bool is_ready(const StreamState& stream) const;

  // mux_receive.cpp: bytes that came in
  std::size_t seek(ByteView bytes, Result<>& outcome);
  void begin_epoch(const Greeting& peer);
  Result<> take(const Frame& frame);
  Result<> take_open(const Frame& frame);
  Result<> take_data(StreamState& stream, ByteView payload);
  Result<> take_end(StreamState& stream);
  Result<> take_credit(StreamState& stream, ByteView payload);
  void take_reset(StreamState& stream);
  Result<> take_acknowledge(const Frame& frame) const;
  bool is_peers(std::uint32_t id) const;

  // mux_send.cpp: bytes that go out
  bool plan_stream(StreamState& stream, std::size_t position, std::size_t budget);
  bool plan_data(StreamState& stream, std::size_t position, std::size_t budget);
  Slot& add_slot(Kind kind, std::uint32_t id, ByteView payload);
  void add_stream_slot(Kind kind, StreamState& stream, std::size_t position, ByteView payload);
  void gather();
  void sent(const Slot& slot);
  void keep_tail(const Slot& slot, std::size_t sent);

  const Role role_;
  const Limits limits_;
  Greeting own_;  ///< The host's nonce, or the nonce of the epoch that a guest is in.
  Greeting peer_{};
  std::uint64_t seed_ = 0;
  bool established_ = false;
  bool seeking_ = true;  ///< The next bytes are of unknown origin; a guest may still have a living epoch then.
  HelloSeeker seeker_;

  std::unordered_map<std::uint32_t, StreamRef> table_;
  std::uint32_t next_id_ = 0;
  std::uint32_t highest_peer_id_ = 0;
  std::size_t owned_ = 0;  ///< Streams that were not closed by their owners, dead ones included.
  std::size_t unread_bytes_ = 0;

  std::deque<StreamRef> ready_;        ///< Streams with something to send, the next one first.
  std::deque<std::uint32_t> refused_;  ///< Streams of the peer that were one too many.
  bool acknowledge_due_ = false;
  Bytes tail_;  ///< The rest of a frame that the transport took a part of; begins at tail_at_.
  std::size_t tail_at_ = 0;
  std::vector<Slot> slots_;
  std::vector<iovec> gathered_;
  std::size_t planned_bytes_ = 0;

  std::vector<Completion> completions_;
  std::vector<StreamRef> accepted_;
};

}  // namespace sprite::channel
