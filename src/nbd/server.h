#pragma once
/// Server: NBD (fixed newstyle) over a listening Unix socket.
#include <memory>

#include "base/fd.h"
#include "nbd/handshake.h"

namespace sprite::nbd {

/// Serves devices to every client of one socket until stopped. It has threads of its own: one that accepts, one per
/// connection, and a few for requests that wait for the disk. A write for which there is no space is tried again until
/// there is: the client waits and never sees an error for it. stop() answers what is under way where that needs no
/// waiting, and closes the rest unanswered: a client that reconnects sends those again.
class Server {
 public:
  /// Serves at once. Without `names`, clients may not list. Errors: unavailable (no threads).
  static Result<std::unique_ptr<Server>> start(Fd listening_socket, Finder find, Names names = {});
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Closes the socket and every connection; returns when the last device call has returned. Idempotent.
  void stop();
  /// A request found no space and waits for it.
  bool waits_for_space() const;

 private:
  class Implementation;
  explicit Server(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sprite::nbd
