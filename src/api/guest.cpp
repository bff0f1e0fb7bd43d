#include "api/guest.h"

#include <numeric>

#include "api/checkpoints.h"
#include "sprite/turns.h"

namespace sprite::api {
namespace {

using namespace std::chrono_literals;

/// The handler, for one request of all that share `turns` at a time.
http::Handler in_turn(Turns& turns, http::Handler handler) {
  return [&turns, handler = std::move(handler)](http::Exchange& exchange) -> asio::awaitable<void> {
    const Turns::Turn turn = co_await turns.take();
    co_await handler(exchange);
  };
}

}  // namespace

http::Limits guest_limits() {
  http::Limits limits;
  limits.head = limits.idle = limits.body = limits.send = limits.linger = 10s;
  limits.head_bytes = 8 * KiB;
  limits.body_bytes = 16 * KiB;
  limits.connections = 8;
  return limits;
}

struct GuestApi::Guest {
  Guest(asio::any_io_executor executor, Sprites& sprites, const std::string& name, const http::Limits& limits)
      : server(executor, router, {}, limits) {
    const auto one_at_a_time = [this](http::Handler handler) { return in_turn(turns, std::move(handler)); };
    add_own_checkpoint_routes(router, sprites, name, one_at_a_time);
  }
  Turns turns;
  http::Router router;
  http::Server server;
};

GuestApi::GuestApi(asio::any_io_executor executor, Sprites& sprites, http::Limits limits)
    : executor_(std::move(executor)), sprites_(sprites), limits_(limits) {
  sprites_.on_guest([this](const std::string& name, Stream stream) { serve(name, std::move(stream)); });
}

GuestApi::~GuestApi() { sprites_.on_guest({}); }

std::size_t GuestApi::connections() const {
  return std::accumulate(guests_.begin(), guests_.end(), std::size_t{0},
                         [](std::size_t sum, const auto& each) { return sum + each.second->server.connections(); });
}

void GuestApi::serve(const std::string& name, Stream stream) {
  std::unique_ptr<Guest>& guest = guests_[name];
  if (!guest) guest = std::make_unique<Guest>(executor_, sprites_, name, limits_);
  guest->server.serve(std::move(stream));
}

}  // namespace sprite::api
