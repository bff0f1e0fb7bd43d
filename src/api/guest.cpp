#include "api/guest.h"

#include "api/checkpoints.h"

namespace sprite::api {

struct GuestApi::Guest {
  Guest(asio::any_io_executor executor, Sprites& sprites, const std::string& name) : server(executor, router) {
    add_own_checkpoint_routes(router, sprites, name);
  }
  http::Router router;
  http::Server server;
};

GuestApi::GuestApi(asio::any_io_executor executor, Sprites& sprites)
    : executor_(std::move(executor)), sprites_(sprites) {
  sprites_.on_guest([this](const std::string& name, Stream stream) { serve(name, std::move(stream)); });
}

GuestApi::~GuestApi() { sprites_.on_guest({}); }

void GuestApi::serve(const std::string& name, Stream stream) {
  std::unique_ptr<Guest>& guest = guests_[name];
  if (!guest) guest = std::make_unique<Guest>(executor_, sprites_, name);
  guest->server.serve(std::move(stream));
}

}  // namespace sprite::api
