#include "api/answer.h"

namespace sprite::api {

http::Handler answering(Sprites& sprites, Work work) {
  return [&sprites, work = std::move(work)](Exchange& exchange) -> asio::awaitable<void> {
    auto response = co_await work(exchange, sprites);
    if (response) {
      co_await exchange.respond(*std::move(response));
    } else {
      co_await exchange.respond_error(response.error());
    }
  };
}

http::Handler versioned(http::Handler handler) {
  return [handler = std::move(handler)](Exchange& exchange) -> asio::awaitable<void> {
    exchange.set_header("Sprite-Version", SPRITE_VERSION);
    return handler(exchange);
  };
}

}  // namespace sprite::api
