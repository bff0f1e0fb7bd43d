#pragma once
/// Connection: one client, from its handshake to its end, on the calling thread.
///
/// The thread takes requests from the socket in batches and carries out at once whatever needs no waiting; the rest
/// (cold reads, flushes, trims, anything that met no_space) goes to the pool, so that requests overtake each other.
/// Replies of a batch leave in one send. Lock order: send_ and flight_ are leaves; neither is held during a device
/// call.
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "base/fd.h"
#include "nbd/buffer.h"
#include "nbd/handshake.h"
#include "nbd/pool.h"

namespace sprite::nbd {

/// How many requests of a server wait for space.
using Starved = std::atomic<std::size_t>;

class Connection {
 public:
  Connection(Fd socket, const Finder& find, const Names& names, Pool& pool, Starved& starved)
      : socket_(std::move(socket)), pool_(pool), starved_(starved), handshake_(find, names) {}

  /// Serves until the client leaves, misbehaves, or finish() or abort() is called. Returns when no request is under
  /// way.
  void run();
  /// Takes no more requests: those under way are answered, but nobody waits for space any more.
  void finish();
  /// Ends the connection at once.
  void abort();

 private:
  /// Counts as a request that waits for space.
  class Waiting {
   public:
    explicit Waiting(Starved& starved) : starved_(starved) { ++starved_; }
    ~Waiting() { --starved_; }
    Waiting(const Waiting&) = delete;

   private:
    Starved& starved_;
  };
  /// A request that another thread carries out.
  struct Deferred {
    Request request;
    Bytes payload;                       ///< of a write that met no_space
    bool data_done = false;              ///< only the flush of a FUA request is left
    std::unique_ptr<Waiting> waiting{};  ///< once it found no space
  };
  using DeferredPointer = std::shared_ptr<Deferred>;

  bool negotiate();
  bool receive_at_least(std::size_t count);
  bool serve_next();
  bool serve(const Request& request, ByteView payload);
  bool read(const Request& request);
  bool read_in_pieces(const Request& request);
  bool write(const Request& request, ByteView payload);
  bool defer(Deferred deferred);
  void carry_out(const DeferredPointer& deferred);
  Result<> perform(Deferred& deferred);
  void read_deferred(const Request& request);
  void block_status(const Request& request);
  void retire(std::size_t payload_bytes);
  void wait_until_landed();

  void reply(std::uint64_t cookie, Errno error);
  std::size_t encode_reply(std::byte* at, std::uint64_t cookie, Errno error) const;
  std::size_t encode_data_header(std::byte* at, const Request& request) const;
  void send(ByteView bytes);
  void send_held(ByteView bytes);
  void send_replies();
  bool another_request_waits() const;

  Fd socket_;
  Pool& pool_;
  Starved& starved_;
  Handshake handshake_;
  Device* device_ = nullptr;
  bool structured_ = false;

  Buffer input_;  ///< received and not yet served: [begin_, end_)
  std::size_t begin_ = 0, end_ = 0;
  Buffer output_;  ///< replies of this thread not yet sent: [0, output_used_)
  std::size_t output_used_ = 0, replies_waiting_ = 0;

  std::atomic<bool> finishing_ = false;
  std::atomic<bool> broken_ = false;  ///< The socket failed: replies are dropped.
  std::mutex send_;
  std::mutex flight_;
  std::condition_variable landed_;
  std::size_t in_flight_ = 0, in_flight_bytes_ = 0;
};

}  // namespace sprite::nbd
