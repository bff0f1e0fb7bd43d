#include "api/forward.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace sprite::api {
namespace {

/// Headers between the client and us; the agent has no use for the token.
constexpr std::array<std::string_view, 7> ours{"authorization",    "connection", "keep-alive", "proxy-authorization",
                                               "proxy-connection", "host",       "upgrade"};

/// The target after its first `count` segments, slash and query included: what is passed through stays encoded as it
/// came.
std::string_view after_segments(std::string_view target, int count) {
  const auto end_of_path = std::min(target.find('?'), target.size());
  std::size_t at = 0;
  for (int i = 0; i < count; ++i) at = target.find('/', at + 1);
  return at < end_of_path ? target.substr(at) : target.substr(end_of_path);
}

}  // namespace

std::string forwarded_head(const http::RequestHead& head, bool upgrade) {
  const auto method = head.method_string();
  const std::string_view rest = after_segments({head.target().data(), head.target().size()}, 3);
  std::string text = fmt::format("{} /v1{} HTTP/1.{}\r\nHost: sprite\r\n",
                                 std::string_view(method.data(), method.size()), rest, head.version() >= 11 ? 1 : 0);
  for (const auto& field : head) {
    const std::string_view name(field.name_string().data(), field.name_string().size());
    if (std::ranges::any_of(ours, [&](std::string_view own) { return boost::beast::iequals(own, name); })) continue;
    text += fmt::format("{}: {}\r\n", name, std::string_view(field.value().data(), field.value().size()));
  }
  text += upgrade ? "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" : "Connection: close\r\n\r\n";
  return text;
}

http::Response wake_failure(const Error& error, const Result<wire::Sprite>& sprite) {
  http::Response response = http::error_response(error);
  if (error.kind != Error::Kind::unavailable || !sprite || sprite->status != "running") return response;
  boost::json::object body = boost::json::parse(response.body).as_object();
  body["error"] = "sprite_starting";
  body["sprite_id"] = sprite->id;
  body["retry_after_seconds"] = 1;
  response.body = boost::json::serialize(body);
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

asio::awaitable<void> forward(http::Exchange& exchange, Sprites& sprites) {
  const std::string name = exchange.parameter("name");
  auto agent = co_await sprites.connect(name);
  if (!agent) {
    co_await exchange.respond(wake_failure(agent.error(), sprites.get(name)));
    co_return;
  }
  std::string first = forwarded_head(exchange.head(), exchange.wants_upgrade());
  http::TakenConnection client = exchange.take_connection();
  first += client.buffered;
  co_await http::relay(std::move(client.stream), *std::move(agent), std::move(first));
}

}  // namespace sprite::api
