#pragma once
/// The multiplexed byte streams between daemon and agent, over one virtio-serial port. PROTOCOL.md has the format.
///
/// Half-close works as with TCP: after shutdown_send() the peer reads end-of-stream and may still send. A stream whose
/// peer closed it, or whose link or epoch is gone, fails with connection_reset; destroying or closing one tells the
/// peer. Both ends run a Link on one transport descriptor (host: a connected Unix socket; guest: the virtio port,
/// opened non-blocking). Either end opens streams; each has its own flow control, so a stalled one never holds up
/// another. The transport keeps bytes of a former life (a killed daemon's half frame, a restored guest's queue). So the
/// host starts an epoch with a random number, the guest acknowledges it, everything older is discarded and every older
/// stream is dead. All calls and callbacks run on the Link's executor (one thread or a strand).
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "base/fd.h"
#include "base/result.h"
#include "base/stream.h"

namespace sprite::channel {

namespace asio = boost::asio;

class Core;  // the state shared by a Link and its streams

enum class Role { host, guest };

/// One end of the channel. Destroying it resets every stream and closes the transport.
class Link {
 public:
  struct Options {
    std::size_t streams_max = 1024;
    std::uint32_t window_bytes = 256 * 1024;  ///< How much a peer may send on one stream before we consumed it.
    std::size_t unread_bytes_max = 64 * MiB;  ///< What all streams may hold unread; one that exceeds it is reset.
  };
  /// Given every stream that the peer opens.
  using Acceptor = std::function<void(Stream)>;
  /// The link is down: the transport failed or closed, or (host) the guest broke the protocol. Not called for our own
  /// close(). A guest's link goes on: a new epoch, an absent host or broken frames only kill the streams there are.
  using Closed = std::function<void(Error)>;

  Link(asio::any_io_executor executor, Fd transport, Role role, Options options, Acceptor acceptor, Closed closed);
  ~Link();
  Link(Link&&) = delete;

  /// Completes when the peer has acknowledged our epoch (host), or the host has started one (guest).
  /// Errors: unavailable (not within `limit`, or the link is down).
  asio::awaitable<Result<>> ready(std::chrono::milliseconds limit);
  /// Opens a stream; it may be written to at once. Errors: unavailable (not ready, down), busy (too many streams).
  Result<Stream> open();
  /// Closes the link now; what is still queued is lost.
  void close();

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace sprite::channel
