// One route, one call into sprite/. Which routes exist is the table in make_router.
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>

#include "api/answer.h"
#include "api/api.h"
#include "api/checkpoints.h"
#include "api/forward.h"
#include "api/list.h"
#include "base/log.h"
#include "base/text.h"
#include "wire/json.h"

namespace sprite::api {
namespace {

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

Answer created(Sprites& sprites, wire::CreateRequest request) {
  if (request.name.empty()) co_return with_code(Error(Error::Kind::invalid, "name is required"), "name is required");
  auto made = co_await sprites.create(std::move(request));
  if (!made && made.error().kind == Error::Kind::exists) co_return with_code(made.error(), "name_taken");
  if (!made) co_return made.error();
  co_return as_json(201, wire::to_json(*made));
}

Answer create(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(body_bytes_max));
  CO_TRY_LET(wire::CreateRequest request, wire::from_json<wire::CreateRequest>(body));
  co_return co_await created(sprites, std::move(request));
}

Answer get(Exchange& exchange, Sprites& sprites) {
  co_await sprites.measure_disks();
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

Result<Depth> depth_of(const std::string& text) {
  if (text == "paused") return Depth::paused;
  if (text == "disk") return Depth::disk;
  if (text == "cold") return Depth::cold;
  return Error{Error::Kind::invalid, "a sprite cannot sleep '" + text + "'", "use paused, disk or cold", {}};
}

Answer sleep(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const Depth depth, depth_of(exchange.query("depth").value_or("paused")));
  const IfInUse if_in_use = exchange.query("force") == "true" ? IfInUse::stand_still : IfInUse::refuse;
  const Wait wait = exchange.query("wait") == "true" ? Wait::yes : Wait::no;
  CO_TRY_LET(const wire::Sprite sprite, co_await sprites.sleep(exchange.parameter("name"), depth, if_in_use, wait));
  co_return as_json(200, wire::to_json(sprite));
}

/// A new sprite whose disk begins as this one's.
Answer fork(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(body_bytes_max));
  CO_TRY_LET(const wire::ForkRequest request, wire::from_json<wire::ForkRequest>(body));
  wire::CreateRequest create_request;
  create_request.name = request.name;
  create_request.from = exchange.parameter("name");
  if (request.checkpoint) *create_request.from += "@" + *request.checkpoint;
  create_request.memory = request.memory;
  co_return co_await created(sprites, std::move(create_request));
}

Answer export_to(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(body_bytes_max));
  CO_TRY_LET(const wire::ExportRequest request, wire::from_json<wire::ExportRequest>(body));
  CO_TRY(co_await sprites.export_to(exchange.parameter("name"), request.path));
  co_return Response(204, "", "");
}

Answer import_from(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(body_bytes_max));
  CO_TRY_LET(wire::ImportRequest request, wire::from_json<wire::ImportRequest>(body));
  auto imported = co_await sprites.import_from(std::move(request));
  if (!imported && imported.error().kind == Error::Kind::exists) co_return with_code(imported.error(), "name_taken");
  if (!imported) co_return imported.error();
  co_return as_json(201, wire::to_json(*imported));
}

Answer usage(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const wire::Usage of_one, co_await sprites.usage(exchange.parameter("name")));
  co_return as_json(200, wire::to_json(of_one));
}

Answer usage_of_all(Exchange&, Sprites& sprites) {
  wire::UsageReport report;
  for (const wire::Sprite& sprite : sprites.list()) {
    auto of_one = co_await sprites.usage(sprite.name);
    if (!of_one && of_one.error().kind == Error::Kind::not_found) continue;  // destroyed meanwhile
    if (!of_one) {
      wire::Usage unknown;
      unknown.name = sprite.name;
      unknown.trouble = log::one_line(of_one.error());
      of_one = std::move(unknown);
    }
    report.sprites.push_back(*std::move(of_one));
  }
  wire::CollectRequest look;
  look.dry_run = true;
  auto packs = co_await sprites.collect(look);
  if (packs) {
    report.packs = *std::move(packs);
  } else {
    report.packs_trouble = log::one_line(packs.error());
  }
  co_return as_json(200, wire::to_json(report));
}

Answer make_template(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const wire::TemplateMade made, co_await sprites.make_template(exchange.parameter("image")));
  co_return as_json(200, wire::to_json(made));
}

Answer collect(Exchange& exchange, Sprites& sprites) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(body_bytes_max));
  wire::CollectRequest request;
  if (!body.empty()) {
    CO_TRY_LET(request, wire::from_json<wire::CollectRequest>(body));
  }
  CO_TRY_LET(const wire::Collected collected, co_await sprites.collect(request));
  co_return as_json(200, wire::to_json(collected));
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
  if (const auto able = sprites.startable(sprite.name); !able && !check.reason)
    check.reason = able.error().what + (able.error().hint.empty() ? "" : "; try: " + able.error().hint);
  if (!check.reason && sprites.going_on(sprite.name).empty()) {
    const auto usage = co_await sprites.usage(sprite.name);  // which opens its disk
    if (!usage) check.reason = "its disk cannot be opened: " + log::one_line(usage.error());
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
  add("POST", "/v1/import", import_from);
  add("POST", "/v1/images/{image}/template", make_template);
  add("GET", "/v1/usage", usage_of_all);
  add("POST", "/v1/gc", collect);
  add_one("GET", "", get);
  add_one("PUT", "", update);
  add_one("DELETE", "", destroy);
  add_one("POST", "/start", start);
  add_one("POST", "/stop", stop);
  add_one("POST", "/restart", restart);
  add_one("POST", "/sleep", sleep);
  add_one("POST", "/wake", start);
  add_checkpoint_routes(router, sprites);
  add_one("POST", "/fork", fork);
  add_one("POST", "/export", export_to);
  add_one("GET", "/usage", usage);
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
