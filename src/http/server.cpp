// Server: accepts connections and knows every open one, so that stop() can close them wherever they have gone.
#include "http/server.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <set>

#include "base/log.h"
#include "http/connection.h"

namespace sprite::http {
namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

using OpenTransports = std::set<Transport*>;

/// A connection's transport that is in `open` as long as it lives, whoever owns it by then.
class TrackedTransport final : public Transport {
 public:
  TrackedTransport(std::shared_ptr<OpenTransports> open, Stream inner)
      : open_(std::move(open)), inner_(std::move(inner)) {
    open_->insert(this);
  }
  ~TrackedTransport() override { open_->erase(this); }

  asio::any_io_executor executor() override { return inner_.get_executor(); }
  void read_some(asio::mutable_buffer into, Callback done) override {
    inner_.transport().read_some(into, std::move(done));
  }
  void write_some(asio::const_buffer from, Callback done) override {
    inner_.transport().write_some(from, std::move(done));
  }
  void shutdown_send() override { inner_.shutdown_send(); }
  void close() override { inner_.close(); }

 private:
  std::shared_ptr<OpenTransports> open_;
  Stream inner_;
};

/// Unix peers must be us or root; the socket's mode says the same, but a mode can be changed.
bool is_welcome(int socket) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  int family = 0;
  socklen_t family_size = sizeof(family);
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &family, &family_size) != 0) return false;
  if (family != AF_UNIX) return true;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == ::geteuid() || peer.uid == 0;
}

}  // namespace

struct Server::Shared {
  asio::any_io_executor executor;
  const Router& router;
  Guard guard;
  Limits limits;
  std::shared_ptr<OpenTransports> open = std::make_shared<OpenTransports>();
  std::vector<std::shared_ptr<asio::posix::stream_descriptor>> listeners{};

  void serve(Stream stream) {
    if (open->size() >= limits.connections) return stream.close();
    Stream tracked(std::make_unique<TrackedTransport>(open, std::move(stream)));
    asio::co_spawn(executor, serve_connection(std::move(tracked), router, guard, limits), asio::detached);
  }
  /// Returns the error that ended it: EAGAIN when nobody waits.
  int accept_all(int listener);
  static asio::awaitable<void> accept_until_closed(std::shared_ptr<Shared> self,
                                                   std::shared_ptr<asio::posix::stream_descriptor> listener);
};

int Server::Shared::accept_all(int listener) {
  for (;;) {
    Fd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (!socket) return errno;
    if (is_welcome(socket.get())) {
      serve(make_stream(executor, std::move(socket)));
    } else {
      log::warning("refused a connection from another user");
    }
  }
}

asio::awaitable<void> Server::Shared::accept_until_closed(std::shared_ptr<Shared> self,
                                                          std::shared_ptr<asio::posix::stream_descriptor> listener) {
  while (listener->is_open()) {
    auto [failed] = co_await listener->async_wait(asio::posix::descriptor_base::wait_read, as_result);
    if (failed) co_return;
    const int end = self->accept_all(listener->native_handle());
    if (end == EAGAIN) continue;
    log::warning("cannot accept a connection now: {}", std::generic_category().message(end));
    asio::steady_timer pause(self->executor, std::chrono::milliseconds(200));  // else this would spin
    (void)co_await pause.async_wait(as_result);
  }
}

Server::Server(asio::any_io_executor executor, const Router& router, Guard guard, Limits limits)
    : shared_(new Shared{std::move(executor), router, std::move(guard), limits}) {}

Server::~Server() { stop(); }

void Server::serve(Stream stream) { shared_->serve(std::move(stream)); }

std::size_t Server::connections() const { return shared_->open->size(); }

void Server::listen(Fd listening_socket) {
  auto listener = std::make_shared<asio::posix::stream_descriptor>(shared_->executor, listening_socket.release());
  listener->non_blocking(true);
  shared_->listeners.push_back(listener);
  asio::co_spawn(shared_->executor, Shared::accept_until_closed(shared_, listener), asio::detached);
}

void Server::stop() {
  for (const auto& listener : shared_->listeners) {
    boost::system::error_code ignored;
    listener->close(ignored);
  }
  shared_->listeners.clear();
  for (Transport* transport : OpenTransports(*shared_->open)) transport->close();
}

Response error_response(const Error& error) {
  boost::json::object body{{"error", to_string(error.kind)}, {"message", error.what}, {"kind", to_string(error.kind)}};
  if (!error.hint.empty()) body["hint"] = error.hint;
  if (!error.because.empty()) body["because"] = boost::json::array(error.because.begin(), error.because.end());
  return Response{http_status(error.kind), "application/json", boost::json::serialize(body)};
}

}  // namespace sprite::http
