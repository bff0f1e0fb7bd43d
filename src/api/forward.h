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

/// The answer to a failed wake. Clients know to try again after `sprite_starting`, so that is said only of a sprite
/// whose machine is there and whose agent does not answer yet; what did not start needs somebody to look.
http::Response wake_failure(const Error& error, const Result<wire::Sprite>& sprite);

}  // namespace sprite::api
