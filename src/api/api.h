#pragma once
/// The daemon's HTTP API: the public Sprites API for what needs the host; everything else below a sprite's path is
/// passed through to its agent as bytes.
#include <chrono>
#include <string>

#include "http/server.h"
#include "sprite/sprites.h"

namespace sprite::api {

/// All routes over `sprites`, which must outlive the router. A watched list gets a heartbeat every `heartbeat`.
http::Router make_router(Sprites& sprites, std::chrono::milliseconds heartbeat = std::chrono::seconds(15));

/// For the listener on 127.0.0.1, which any program and any web page of this machine can reach: demands the bearer
/// token (401), a Host header that names this machine (403: a foreign name that was made to resolve here), and no
/// foreign Origin (403: a web page).
http::Guard loopback_guard(std::string token);

}  // namespace sprite::api
