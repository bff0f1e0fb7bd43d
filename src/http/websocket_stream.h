#pragma once
/// Both ways to get a WebSocket: accepting an upgrade and asking for one.
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "http/client.h"
#include "http/server.h"

namespace sprite::http {

/// Answers the upgrade request `head` with 101 and `headers`; `buffered` are bytes that came after the head.
/// Errors: invalid (not a proper upgrade; answered), unavailable.
asio::awaitable<Result<std::unique_ptr<WebSocket>>> accept_websocket(Stream stream, std::string buffered,
                                                                     const RequestHead& head, Headers headers);

}  // namespace sprite::http
