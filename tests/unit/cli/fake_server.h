#pragma once
/// A daemon's double: our own HTTP server on a Unix socket and a thread of its own, with the routes of a test.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "base/unix_socket.h"
#include "cli/client.h"
#include "http/server.h"
#include "support/temporary_directory.h"

namespace sprite::test {

class FakeServer {
 public:
  explicit FakeServer(http::Router router) : router_(std::move(router)), server_(loop_.get_executor(), router_) {
    auto socket = listen_unix(directory_ / "s");
    if (!socket) std::abort();
    server_.listen(*std::move(socket));
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~FakeServer() {
    asio::post(loop_, [this] {
      server_.stop();
      work_.reset();
    });
    thread_.join();
  }
  FakeServer(FakeServer&&) = delete;

  cli::Client client() const {
    http::Endpoint endpoint;
    endpoint.unix_socket = directory_ / "s";
    return cli::Client(endpoint);
  }

 private:
  TemporaryDirectory directory_;
  asio::io_context loop_{1};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_ = asio::make_work_guard(loop_);
  http::Router router_;
  http::Server server_;
  std::thread thread_;
};

}  // namespace sprite::test
