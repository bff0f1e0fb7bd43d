#pragma once
/// Core: a Mux and the descriptor it runs over; what a Link and its streams share.
///
/// States: greeting (no epoch yet; a host repeats its HELLO), established, absent (guest: no host is connected; the
/// epoch is over and the port is watched), down (closed by us, by the transport or for a broken protocol; final).
/// Everything runs on the executor. Users' callbacks are always posted, so that they may destroy streams and the Link.
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>

#include "channel/mux.h"
#include "channel/port_watch.h"

namespace sprite::channel {

class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(asio::any_io_executor executor, Role role, const Link::Options& options, Link::Acceptor acceptor,
       Link::Closed closed);

  /// Begins to use `transport`.
  void start(Fd transport);
  /// As Link::ready, for a Core that lives as long as the coroutine.
  static asio::awaitable<Result<>> ready(std::shared_ptr<Core> core, std::chrono::milliseconds limit);
  Result<Stream> open();
  /// Ends everything; neither the acceptor nor `closed` is called any more.
  void shut();

  // For streams.
  asio::any_io_executor executor() { return executor_; }
  Mux& mux() { return mux_; }
  /// To be called after each use of mux(): posts the callbacks that are due, and sends what is to be sent.
  void settle();

 private:
  class Waiter;

  void read_available();
  bool take_input();
  void wait_readable();
  bool look_again();
  bool become_absent();
  void flush();
  ssize_t send(std::span<const iovec> pieces);
  void wait_writable();
  void repeat_hello();
  void note_state();
  void post_events();
  void fail(Error why);
  void stop();

  asio::any_io_executor executor_;
  asio::posix::stream_descriptor transport_;
  asio::steady_timer hello_timer_;
  const Role role_;
  Link::Acceptor acceptor_;
  Link::Closed closed_;
  Mux mux_;
  bool is_socket_ = true;
  std::optional<PortWatch> watch_;  ///< Made when a guest's port is first found without a host.
  Bytes input_;                     ///< Read from the transport; the first input_bytes_ are not used yet.
  std::size_t input_bytes_ = 0;
  Bytes output_;         ///< A batch in one piece, for a transport that is not a socket.
  bool absent_ = false;  ///< Guest: the port has no host, and the watch has begun.
  bool flush_posted_ = false;
  bool writable_awaited_ = false;
  bool was_established_ = false;
  bool down_ = false;
  std::set<asio::steady_timer*> waiting_;  ///< Of the ready() calls under way; cancelled when the state changes.
};

}  // namespace sprite::channel
