#include "nbd/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <list>

#include "nbd/connection.h"

namespace sprite::nbd {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t connections_max = 64;
constexpr std::size_t pool_threads_max = 16;
constexpr auto patience = 5s;  ///< With clients that do not read their replies, when stopping.

struct Client {
  Client(Fd socket, const Finder& find, const Names& names, Pool& pool, Starved& starved)
      : connection(std::move(socket), find, names, pool, starved) {}
  Connection connection;
  bool done = false;
  std::thread thread;
};

}  // namespace

class Server::Implementation {
 public:
  Implementation(Fd socket, Fd wake, Finder find, Names names)
      : socket_(std::move(socket)), wake_(std::move(wake)), find_(std::move(find)), names_(std::move(names)) {}

  void accept_clients();
  void stop();
  bool waits_for_space() const { return starved_ > 0; }
  void start() {
    acceptor_ = std::thread([this] { accept_clients(); });
  }

 private:
  void add(Fd socket);
  void serve(Client& client);
  void reap();

  Fd socket_, wake_;
  Finder find_;
  Names names_;
  Starved starved_ = 0;
  Pool pool_{pool_threads_max};
  std::mutex mutex_;
  std::condition_variable client_left_;
  std::list<Client> clients_;
  std::thread acceptor_;
};

void Server::Implementation::accept_clients() {
  pollfd ready[2] = {{socket_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  while (::poll(ready, 2, -1) >= 0 || errno == EINTR) {
    if (ready[1].revents != 0) return;
    Fd socket(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    reap();
    if (socket) {
      add(std::move(socket));
    } else if (errno == EMFILE || errno == ENFILE) {
      std::this_thread::sleep_for(100ms);
    }
  }
}

void Server::Implementation::add(Fd socket) {
  const int send_bytes = 1024 * 1024;  // as much of it as the system allows
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
  std::lock_guard hold(mutex_);
  if (clients_.size() >= connections_max) return;
  Client& client = clients_.emplace_back(std::move(socket), find_, names_, pool_, starved_);
  try {
    client.thread = std::thread([this, &client] { serve(client); });
  } catch (const std::system_error&) {  // no more threads: the client is refused
    clients_.pop_back();
  }
}

void Server::Implementation::serve(Client& client) {
  client.connection.run();
  std::lock_guard hold(mutex_);
  client.done = true;
  client_left_.notify_all();
}

/// Forgets clients that have left.
void Server::Implementation::reap() {
  std::list<Client> gone;
  {
    std::lock_guard hold(mutex_);
    for (auto each = clients_.begin(); each != clients_.end();) {
      const auto next = std::next(each);
      if (each->done) gone.splice(gone.end(), clients_, each);
      each = next;
    }
  }
  for (Client& client : gone) client.thread.join();
}

void Server::Implementation::stop() {
  if (!acceptor_.joinable()) return;
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  acceptor_.join();
  socket_.reset();
  {
    std::unique_lock hold(mutex_);
    for (Client& client : clients_) client.connection.finish();
    pool_.hurry();
    const auto all_left = [&] { return std::ranges::all_of(clients_, &Client::done); };
    if (!client_left_.wait_for(hold, patience, all_left)) {
      for (Client& client : clients_) client.connection.abort();
      client_left_.wait(hold, all_left);
    }
  }
  reap();
}

Server::Server(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Server::~Server() { stop(); }
void Server::stop() { implementation_->stop(); }
bool Server::waits_for_space() const { return implementation_->waits_for_space(); }

Result<std::unique_ptr<Server>> Server::start(Fd listening_socket, Finder find, Names names) {
  Fd wake(::eventfd(0, EFD_CLOEXEC));
  if (!wake) return system_error("cannot start an NBD server");
  auto implementation =
      std::make_unique<Implementation>(std::move(listening_socket), std::move(wake), std::move(find), std::move(names));
  try {
    implementation->start();
  } catch (const std::system_error& failed) {
    return system_error("cannot start an NBD server", failed.code().value());
  }
  return std::unique_ptr<Server>(new Server(std::move(implementation)));
}

}  // namespace sprite::nbd
