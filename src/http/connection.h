#pragma once
/// One connection of a Server.
#include <boost/asio/awaitable.hpp>

#include "http/server.h"

namespace sprite::http {

/// Serves requests on `stream` until it ends, an answer says close, or a handler takes it.
asio::awaitable<void> serve_connection(Stream stream, const Router& router, Guard guard, Patience patience);

}  // namespace sprite::http
