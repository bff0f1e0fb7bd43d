// One route, one call into sprite/. Which routes exist is the table in make_router.
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>

#include "api/api.h"
#include "api/forward.h"
#include "api/list.h"
#include "base/text.h"
#include "wire/json.h"

namespace sprite::api {
namespace {

using http::Exchange;
using http::Response;

constexpr std::size_t body_bytes_max = MiB;

/// A route's work: the answer, or what prevented it.
using Answer = asio::awaitable<Result<Response>>;
using Work = std::function<Answer(Exchange&, Sprites&)>;

Response as_json(int status, std::string body) { return Response(status, "application/json", std::move(body)); }

/// The error's answer with the code that the public API uses for it.
Response with_code(const Error& error, std::string_view code) {
  Response response = http::error_response(error);
  boost::json::object body = boost::json::parse(response.body).as_object();
  body["error"] = code;
  response.body = boost::json::serialize(body);
  return response;
}

std::string last_lines(std::string text, std::size_t count) {
  std::size_t begin = text.size();
  if (begin > 0 && text.back() == '\n') --begin;  // it ends the last line, it does not begin one
  for (; begin > 0; --begin)
    if (text[begin - 1] == '\n' && --count == 0) break;
  return text.substr(begin);
}

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

/// The same with the header that every answer below a sprite's path carries.
http::Handler versioned(http::Handler handler) {
  return [handler = std::move(handler)](Exchange& exchange) -> asio::awaitable<void> {
    exchange.set_header("Sprite-Version", SPRITE_VERSION);
    return handler(exchange);
  };
}

Answer create(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(body_bytes_max));
  CO_TRY_LET(wire::CreateRequest request, wire::from_json<wire::CreateRequest>(body));
  if (request.name.empty()) co_return with_code(Error(Error::Kind::invalid, "name is required"), "name is required");
  auto created = co_await sprites.create(std::move(request));
  if (!created && created.error().kind == Error::Kind::exists) co_return with_code(created.error(), "name_taken");
  if (!created) co_return created.error();
  co_return as_json(201, wire::to_json(*created));
}

Answer get(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const wire::Sprite sprite, sprites.get(exchange.parameter("name")));
  co_return as_json(200, wire::to_json(sprite));
}

Answer update(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(body_bytes_max));
  CO_TRY_LET(wire::UpdateRequest request, wire::from_json<wire::UpdateRequest>(body));
  CO_TRY_LET(const wire::Sprite sprite, co_await sprites.update(exchange.parameter("name"), std::move(request)));
  co_return as_json(200, wire::to_json(sprite));
}

Answer destroy(Exchange& exchange, Sprites& sprites) {
  CO_TRY(co_await sprites.destroy(exchange.parameter("name")));
  co_return Response(204, "", "");
}

Answer start(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const wire::Sprite sprite, co_await sprites.start(exchange.parameter("name")));
  co_return as_json(200, wire::to_json(sprite));
}

Answer stop(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const wire::Sprite sprite, co_await sprites.stop(exchange.parameter("name")));
  co_return as_json(200, wire::to_json(sprite));
}

Answer restart(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const wire::Sprite sprite, co_await sprites.restart(exchange.parameter("name")));
  const wire::Restarted restarted{sprite.name, sprite.id, "the sprite was restarted"};
  co_return as_json(200, wire::to_json(restarted));
}

/// Never wakes: a sleeping sprite is healthy.
Answer check(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const wire::Sprite sprite, sprites.get(exchange.parameter("name")));
  const auto begin = std::chrono::steady_clock::now();
  wire::Check check{sprite.name, sprite.id, "healthy", {}, format_time(std::chrono::system_clock::now()), {}};
  if (sprite.status == "running") {
    const auto agent = co_await sprites.agent_status(sprite.name);
    if (!agent) check.reason = agent.error().what;
    if (agent && agent->container != "running")
      check.reason = agent->detail.empty() ? "the container is " + agent->container : agent->detail;
  }
  if (check.reason) check.status = "unhealthy";
  check.elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  co_return as_json(200, wire::to_json(check));
}

/// The last `limit` lines of the serial console.
Answer logs(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(std::string text, sprites.console_log(exchange.parameter("name")));
  if (const auto wanted = exchange.query("limit")) {
    std::size_t lines = 0;
    const auto [end, failed] = std::from_chars(wanted->data(), wanted->data() + wanted->size(), lines);
    if (failed != std::errc() || end != wanted->data() + wanted->size() || lines == 0)
      co_return Error(Error::Kind::invalid, "limit must be a number from 1 on");
    text = last_lines(std::move(text), lines);
  }
  co_return Response(200, "text/plain; charset=utf-8", std::move(text));
}

/// Clients ask with HEAD which version a sprite has; this does not wake it.
Answer head_exec(Exchange& exchange, Sprites& sprites) {
  CO_TRY(sprites.get(exchange.parameter("name")));
  co_return Response(200, "application/json", "");
}

/// Clients try this first and fall back: the answer must be quick and must not wake the sprite.
Answer no_control(Exchange&, Sprites&) { co_return Error(Error::Kind::not_found, "there is no control channel"); }

Answer daemon_status(Exchange&, Sprites& sprites) { co_return as_json(200, wire::to_json(sprites.daemon_status())); }

/// Sessions, or an upgrade to one. A cold sprite has no sessions, and need not wake to say so.
http::Handler exec(Sprites& sprites) {
  return [&sprites](Exchange& exchange) -> asio::awaitable<void> {
    const auto sprite = sprites.get(exchange.parameter("name"));
    if (sprite && sprite->status == "cold" && !exchange.wants_upgrade()) {
      co_await exchange.respond(as_json(200, wire::to_json(wire::SessionList{})));
    } else {
      co_await forward(exchange, sprites);
    }
  };
}

}  // namespace

http::Router make_router(Sprites& sprites, std::chrono::milliseconds heartbeat) {
  http::Router router;
  const auto add = [&](std::string method, std::string path, Work work) {
    router.add(std::move(method), std::move(path), answering(sprites, std::move(work)));
  };
  const auto add_one = [&](std::string method, std::string path, Work work) {
    router.add(std::move(method), "/v1/sprites/{name}" + path, versioned(answering(sprites, std::move(work))));
  };
  add("GET", "/v1/daemon", daemon_status);
  add("POST", "/v1/sprites", create);
  router.add("GET", "/v1/sprites",
             [&sprites, heartbeat](Exchange& exchange) { return serve_list(exchange, sprites, heartbeat); });
  add_one("GET", "", get);
  add_one("PUT", "", update);
  add_one("DELETE", "", destroy);
  add_one("POST", "/start", start);
  add_one("POST", "/stop", stop);
  add_one("POST", "/restart", restart);
  add_one("GET", "/check", check);
  add_one("GET", "/logs", logs);
  add_one("HEAD", "/exec", head_exec);
  add_one("*", "/control", no_control);
  router.add("GET", "/v1/sprites/{name}/exec", versioned(exec(sprites)));
  router.add("*", "/v1/sprites/{name}/{rest...}",
             versioned([&sprites](Exchange& exchange) { return forward(exchange, sprites); }));
  return router;
}

}  // namespace sprite::api
