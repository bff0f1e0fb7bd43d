#include "agent/routes.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "agent/exec.h"
#include "agent/host_routes.h"

namespace sprite::agent {
namespace {

namespace json = boost::json;
using http::Exchange;

/// Clients choose by it between ways to attach to a session; any version that is no release candidate means the modern
/// one.
constexpr auto version_header = "Sprite-Version";

http::Handler versioned(http::Handler handler) {
  return [handler = std::move(handler)](Exchange& exchange) -> asio::awaitable<void> {
    exchange.set_header(version_header, SPRITE_VERSION);
    return handler(exchange);
  };
}

/// Nobody enters a machine that does not know yet who it is.
http::Handler entered(const Machine& machine, http::Handler handler) {
  return versioned([&machine, handler = std::move(handler)](Exchange& exchange) -> asio::awaitable<void> {
    if (machine.configuration()) return handler(exchange);
    return exchange.respond_error(Error{Error::Kind::unavailable, "the machine has not been configured yet"});
  });
}

asio::awaitable<void> serve_info(Exchange& exchange, const Machine& machine) {
  const wire::Configure configuration = machine.configuration().value_or(wire::Configure{});
  http::Response response;
  response.body = json::serialize(json::object{{"version", SPRITE_VERSION},
                                               {"sprite_name", configuration.sprite_name},
                                               {"sprite_url", configuration.sprite_url},
                                               {"sprite_id", configuration.sprite_id},
                                               {"org", "local"}});
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> serve_health(Exchange& exchange, const Machine& machine) {
  const wire::AgentStatus status = machine.status();
  const bool running = status.container == "running";
  http::Response response;
  response.status = running ? 200 : 503;
  response.body =
      json::serialize(json::object{{"status", running ? "ok" : status.container}, {"detail", status.detail}});
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> serve_head(Exchange& exchange) { co_await exchange.respond(http::Response{}); }

asio::awaitable<void> serve_nothing(Exchange& exchange) {
  co_await exchange.respond_error(Error{Error::Kind::not_found, "there is nothing at " + std::string(exchange.path())});
}

}  // namespace

http::Router channel_router(Machine& machine, Sessions& sessions) {
  const auto host = [&machine](auto serve) {
    return versioned([&machine, serve](Exchange& exchange) { return serve(exchange, machine); });
  };
  const auto exec = [&machine, &sessions](auto serve) {
    return entered(machine, [&sessions, serve](Exchange& exchange) { return serve(exchange, sessions); });
  };
  http::Router router;
  router.add("POST", "/host/configure", host(serve_configure))
      .add("GET", "/host/status", host(serve_status))
      .add("POST", "/host/shutdown", host(serve_shutdown))
      .add("POST", "/host/freeze", host(serve_freeze))
      .add("POST", "/host/thaw", host(serve_thaw))
      .add("POST", "/host/container/stop", host(serve_container_stop))
      .add("POST", "/host/container/start", host(serve_container_start))
      .add("GET", "/v1/info", host(serve_info))
      .add("GET", "/v1/health", host(serve_health))
      .add("HEAD", "/v1/exec", versioned(serve_head))
      .add("GET", "/v1/exec", exec(serve_exec))
      .add("POST", "/v1/exec", exec(serve_exec_post))
      .add("GET", "/v1/exec/{session}", exec(serve_exec))
      .add("POST", "/v1/exec/{session}/kill", exec(serve_kill))
      .add("*", "/{rest...}", versioned(serve_nothing));
  return router;
}

http::Router inside_router(Machine& machine) {
  const auto with_machine = [&machine](auto serve) {
    return versioned([&machine, serve](Exchange& exchange) { return serve(exchange, machine); });
  };
  http::Router router;
  router.add("GET", "/info", with_machine(serve_info))
      .add("GET", "/health", with_machine(serve_health))
      .add("*", "/{rest...}", versioned(serve_nothing));
  return router;
}

}  // namespace sprite::agent
