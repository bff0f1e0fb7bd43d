#pragma once
/// Passing a request through to the sprite's agent.
#include "http/server.h"
#include "sprite/sprites.h"

namespace sprite::api {

/// The head that the agent gets for `head`, a request for /v1/sprites/{name}/{rest}: target /v1/{rest}, no
/// Authorization, and `Connection: close` unless it asks for a WebSocket.
std::string forwarded_head(const http::RequestHead& head, bool upgrade);

/// Wakes the sprite and relays the connection's bytes both ways from here on.
asio::awaitable<void> forward(http::Exchange& exchange, Sprites& sprites);

/// The answer to a failed wake: 503 is `sprite_starting`, which clients know to try again.
http::Response wake_failure(const Error& error, const std::string& sprite_id);

}  // namespace sprite::api
