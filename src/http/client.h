#pragma once
/// HTTP/1.1 client side over any Stream: whole answers, streamed lines, WebSocket.
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "base/stream.h"
#include "http/server.h"
#include "http/websocket.h"

namespace sprite::http {

struct Request {
  std::string method = "GET";
  std::string target = "/";
  std::string body{};
  std::string content_type = "application/json";
  Headers headers{};

  Request() = default;
  Request(std::string method_, std::string target_, std::string body_ = {},
          std::string content_type_ = "application/json", Headers headers_ = {})
      : method(std::move(method_)),
        target(std::move(target_)),
        body(std::move(body_)),
        content_type(std::move(content_type_)),
        headers(std::move(headers_)) {}
};

/// Where a client connects to: a Unix socket, or host and port.
struct Endpoint {
  Path unix_socket{};
  std::string host{};
  std::uint16_t port = 0;
  std::string token{};  ///< For the caller's requests; connect() itself has no use for it.

  Endpoint() = default;
  explicit Endpoint(Path unix_socket_) : unix_socket(std::move(unix_socket_)) {}
  Endpoint(std::string host_, std::uint16_t port_, std::string token_ = {})
      : host(std::move(host_)), port(port_), token(std::move(token_)) {}
};

/// Errors: not_found (no socket there), unavailable (refused, no answer in 5 s).
asio::awaitable<Result<Stream>> connect(Endpoint endpoint);

/// Sends the request and reads the whole answer. Errors: unavailable (also where its body is larger than that). A
/// status of 400 or more is not an error here.
asio::awaitable<Result<Response>> fetch(Stream& stream, const Request& request, std::size_t body_bytes_max = 64 * MiB);
/// Sends the request; hands each part of the body to `on_part` as it arrives (one call a chunk where the answer is
/// chunked). Returns the answer without its body. Errors: unavailable.
asio::awaitable<Result<Response>> fetch_streaming(Stream& stream, const Request& request,
                                                  std::function<void(std::string_view)> on_part);
/// Upgrades to WebSocket. Errors: those the server answered (its error shape turned back into an Error), unavailable.
asio::awaitable<Result<std::unique_ptr<WebSocket>>> open_websocket(Stream stream, const Request& request);

/// The Error that an answer of status 400 or more carries.
Error error_from(const Response& response);

/// Percent-encodes what is not unreserved in a path segment or query value.
std::string url_encode(std::string_view text);

}  // namespace sprite::http
