#include "agent/agent.h"

#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>
#include <thread>

#include "agent/boot.h"
#include "agent/container.h"
#include "agent/plain_machine.h"
#include "agent/routes.h"
#include "agent/virtual_machine.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "channel/link.h"

namespace sprite::agent {
namespace {

constexpr std::chrono::milliseconds retry_after{100};

/// Serves the channel's streams; a link that breaks is opened anew.
class ChannelServer {
 public:
  ChannelServer(asio::any_io_executor executor, http::Server& server)
      : executor_(std::move(executor)), server_(server) {}

  /// A stream to the daemon. Errors: unavailable.
  Result<Stream> open() {
    if (!link_) return Error{Error::Kind::unavailable, "the channel to the daemon is not open"};
    return link_->open();
  }

  asio::awaitable<void> run() {
    for (;;) {
      auto port = open_channel_port();
      if (!port) {
        log::error("{}", log::one_line(port.error()));
      } else {
        up_ = true;
        link_ = std::make_unique<channel::Link>(
            executor_, *std::move(port), channel::Role::guest, channel::Link::Options{},
            [this](Stream stream) { server_.serve(std::move(stream)); }, [this](Error error) { closed(error); });
        while (up_) co_await changed_.wait();
        link_.reset();
      }
      co_await pause_for(executor_, retry_after);
    }
  }

 private:
  void closed(const Error& error) {
    log::warning("the channel is opened anew: {}", log::one_line(error));
    up_ = false;
    changed_.notify_all();
  }

  asio::any_io_executor executor_;
  http::Server& server_;
  Event changed_{executor_};
  bool up_ = false;
  std::unique_ptr<channel::Link> link_;
};

/// Accepts every user's connections (http::Server::listen() takes only our own).
asio::awaitable<void> serve_inside(asio::any_io_executor executor, http::Server& server) {
  const Path path = inside_folder / "api.sock";
  auto listening = listen_unix(path);
  if (!listening || ::chmod(path.c_str(), 0666) != 0) {
    log::error("there is no /.sprite/api.sock: {}", listening ? "chmod" : log::one_line(listening.error()));
    co_return;
  }
  asio::local::stream_protocol::acceptor acceptor(executor, asio::local::stream_protocol(), listening->release());
  for (;;) {
    auto [failed, socket] = co_await acceptor.async_accept(asio::as_tuple(asio::use_awaitable));
    if (failed) {
      co_await pause_for(executor, retry_after);  // too many open files, for one
      continue;
    }
    server.serve(http::make_stream(executor, Fd(socket.release())));
  }
}

}  // namespace

int run_agent(Modules modules) {
  asio::io_context io(1);
  VirtualMachine machine(io.get_executor());
  Sessions sessions(machine);
  Tasks tasks;
  ActivityMeter activity(io.get_executor(), sessions, tasks, container_group);
  activity.start();
  const http::Router over_channel = channel_router(machine, sessions, tasks, activity);
  http::Server channel_server(io.get_executor(), over_channel);
  ChannelServer channel(io.get_executor(), channel_server);
  const http::Router inside = inside_router(machine, tasks, [&channel] { return channel.open(); });
  http::Server inside_server(io.get_executor(), inside);
  asio::co_spawn(io, channel.run(), asio::detached);
  asio::co_spawn(io, serve_inside(io.get_executor(), inside_server), asio::detached);
  machine.start();
  std::thread others([&] {
    load_other_modules(modules);
    asio::post(io, [&machine] { machine.set_settled(); });
  });
  io.run();
  others.join();
  return 1;
}

int run_plain_agent(const Path& path) {
  asio::io_context io(1);
  auto machine = PlainMachine::start(io.get_executor());
  auto listening = listen_unix(path);
  if (!machine || !listening) {
    log::error("{}", log::one_line(machine ? listening.error() : machine.error()));
    return 1;
  }
  Sessions sessions(**machine);
  Tasks tasks;
  ActivityMeter activity(io.get_executor(), sessions, tasks, "/nonexistent");  // programs have no group of their own
  const http::Router router = channel_router(**machine, sessions, tasks, activity);
  http::Server server(io.get_executor(), router);
  server.listen(*std::move(listening));
  asio::signal_set ends(io, SIGTERM, SIGINT);
  ends.async_wait([&io](boost::system::error_code, int) { io.stop(); });
  io.run();
  return 0;
}

}  // namespace sprite::agent
