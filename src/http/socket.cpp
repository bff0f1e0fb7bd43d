// Sockets: as Streams, and listening ones.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

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

Result<sockaddr_un> unix_address(const Path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.size() >= sizeof(address.sun_path))
    return Error{Error::Kind::invalid, fmt::format("the socket path '{}' is too long", text),
                 "set XDG_RUNTIME_DIR to a shorter directory"};
  text.copy(address.sun_path, text.size());
  return address;
}

/// Makes room for a socket at `path`. Errors: busy (somebody answers), exists (not a socket).
Result<> remove_stale_socket(const Path& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode))
    return Error{Error::Kind::exists, fmt::format("'{}' is there and is not a socket", path.string())};
  Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return system_error("cannot make a socket");
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN)
    return Error{Error::Kind::busy, fmt::format("another process answers on '{}'", path.string())};
  if (errno != ECONNREFUSED) return system_error(fmt::format("cannot tell who is at '{}'", path.string()));
  if (::unlink(path.c_str()) != 0)
    return system_error(fmt::format("cannot remove the stale socket '{}'", path.string()));
  return {};
}

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

Result<Fd> listen_unix(const Path& path) {
  TRY_LET(const sockaddr_un address, unix_address(path));
  TRY(remove_stale_socket(path, address));
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return system_error("cannot make a socket");
  // The mode that bind() gives the file: nobody else can connect, not even for a moment, and no umask is touched.
  if (::fchmod(socket.get(), 0600) != 0) return system_error("cannot make a socket private");
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0)
    return system_error(fmt::format("cannot listen on '{}'", path.string()));
  return socket;
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
