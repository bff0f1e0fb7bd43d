// Sockets as Streams, and the listening one on 127.0.0.1.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/generic/stream_protocol.hpp>

#include "http/server.h"

namespace sprite::http {
namespace {

class SocketTransport final : public Transport {
 public:
  SocketTransport(asio::any_io_executor executor, Fd socket, int family) : socket_(std::move(executor)) {
    boost::system::error_code failed;  // then every operation fails: the kernel has no room to watch it
    socket_.assign(asio::generic::stream_protocol(family, 0), socket.get(), failed);
    if (!failed) (void)socket.release();
  }

  asio::any_io_executor executor() override { return socket_.get_executor(); }
  void read_some(asio::mutable_buffer into, Callback done) override {
    socket_.async_read_some(asio::buffer(into), std::move(done));
  }
  void write_some(asio::const_buffer from, Callback done) override {
    socket_.async_write_some(asio::buffer(from), std::move(done));
  }
  void shutdown_send() override {
    boost::system::error_code ignored;  // the peer may be gone already
    socket_.shutdown(socket_.shutdown_send, ignored);
  }
  void close() override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  asio::generic::stream_protocol::socket socket_;
};

}  // namespace

Stream make_stream(asio::any_io_executor executor, Fd socket) {
  int family = AF_UNIX;
  socklen_t size = sizeof(family);
  (void)::getsockopt(socket.get(), SOL_SOCKET, SO_DOMAIN, &family, &size);
  if (family != AF_UNIX) {
    const int on = 1;
    (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return Stream(std::make_unique<SocketTransport>(std::move(executor), std::move(socket), family));
}

Result<std::pair<Fd, std::uint16_t>> listen_loopback(std::uint16_t port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error("cannot make a socket");
  const int on = 1;
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on,
                     sizeof(on));  // a restarted daemon takes its port again
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    Error failed = system_error(fmt::format("cannot listen on 127.0.0.1 port {}", port));
    if (errno == EADDRINUSE) failed.kind = Error::Kind::busy;
    return failed;
  }
  socklen_t size = sizeof(address);
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    return system_error("cannot tell the port");
  return std::pair(std::move(socket), ntohs(address.sin_port));
}

}  // namespace sprite::http
