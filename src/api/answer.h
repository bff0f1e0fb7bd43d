#pragma once
/// How routes answer: work that gives an answer or an error becomes a handler.
#include <functional>
#include <string>

#include "http/server.h"
#include "sprite/sprites.h"

namespace sprite::api {

using http::Exchange;
using http::Response;

constexpr std::size_t body_bytes_max = MiB;

/// A route's work: the answer, or what prevented it.
using Answer = asio::awaitable<Result<Response>>;
using Work = std::function<Answer(Exchange&, Sprites&)>;

inline Response as_json(int status, std::string body) { return Response(status, "application/json", std::move(body)); }

http::Handler answering(Sprites& sprites, Work work);
/// The same with the header that every answer below a sprite's path carries.
http::Handler versioned(http::Handler handler);

}  // namespace sprite::api
