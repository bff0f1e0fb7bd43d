#include "agent/routes.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "agent/event.h"
#include "agent/exec.h"
#include "agent/host_routes.h"
#include "agent/task_routes.h"
#include "http/client.h"

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

/// The answer is passed on once it is whole.
asio::awaitable<Result<http::Response>> ask_daemon(Exchange& exchange, const OpenToDaemon& daemon) {
  constexpr std::size_t body_bytes_max = 16 * KiB;  // what the daemon takes
  CO_TRY_LET(std::string body, co_await exchange.read_body(body_bytes_max));
  CO_TRY_LET(Stream stream, daemon());
  const auto method = exchange.head().method_string(), target = exchange.head().target();
  http::Request request({method.data(), method.size()}, {target.data(), target.size()}, std::move(body));
  CO_TRY_LET(const http::Response answer, co_await http::fetch(stream, request));
  co_return http::Response(answer.status, answer.content_type, answer.body);
}

/// The daemon takes few requests of a guest at once, so the others wait here; `asking` is how many are with it.
asio::awaitable<void> serve_by_daemon(Exchange& exchange, OpenToDaemon daemon, std::shared_ptr<int> asking) {
  constexpr int asking_max = 4;
  while (*asking >= asking_max) co_await pause_for(exchange.executor(), std::chrono::milliseconds(10));
  ++*asking;
  auto response = co_await ask_daemon(exchange, daemon);
  --*asking;
  if (response) {
    co_await exchange.respond(*std::move(response));
  } else {
    co_await exchange.respond_error(response.error());
  }
}

asio::awaitable<void> serve_nothing(Exchange& exchange) {
  co_await exchange.respond_error(Error{Error::Kind::not_found, "there is nothing at " + std::string(exchange.path())});
}

}  // namespace

http::Router channel_router(Machine& machine, Sessions& sessions, Tasks& tasks, ActivityMeter& activity) {
  const auto host = [&machine](auto serve) {
    return versioned([&machine, serve](Exchange& exchange) { return serve(exchange, machine); });
  };
  const auto exec = [&machine, &sessions](auto serve) {
    return entered(machine, [&sessions, serve](Exchange& exchange) { return serve(exchange, sessions); });
  };
  const http::Handler by_tasks =
      entered(machine, [&tasks](Exchange& exchange) { return serve_tasks(exchange, tasks); });
  http::Router router;
  router
      .add("POST", "/host/configure", versioned([&machine, &sessions](Exchange& exchange) {
             return serve_configure(exchange, machine, sessions);
           }))
      .add("GET", "/host/status", host(serve_status))
      .add("GET", "/host/activity",
           versioned([&](Exchange& exchange) { return serve_activity(exchange, machine, activity); }))
      .add("POST", "/host/shutdown", host(serve_shutdown))
      .add("POST", "/host/freeze", host(serve_freeze))
      .add("POST", "/host/thaw", host(serve_thaw))
      .add("POST", "/host/disk/check", host(serve_disk_check))
      .add("POST", "/host/difference", host(serve_difference))
      .add("POST", "/host/hold", host(serve_hold))
      .add("POST", "/host/go-on", host(serve_go_on))
      .add("POST", "/host/checkpoints", host(serve_checkpoints))
      .add("POST", "/host/container/stop", host(serve_container_stop))
      .add("POST", "/host/container/start", host(serve_container_start))
      .add("GET", "/v1/info", host(serve_info))
      .add("GET", "/v1/health", host(serve_health))
      .add("HEAD", "/v1/exec", versioned(serve_head))
      .add("GET", "/v1/exec", exec(serve_exec))
      .add("POST", "/v1/exec", exec(serve_exec_post))
      .add("GET", "/v1/exec/{session}", exec(serve_exec))
      .add("POST", "/v1/exec/{session}/kill", exec(serve_kill))
      .add("*", "/v1/tasks", by_tasks)
      .add("*", "/v1/tasks/{task}", by_tasks)
      .add("*", "/{rest...}", versioned(serve_nothing));
  return router;
}

http::Router inside_router(Machine& machine, Tasks& tasks, OpenToDaemon daemon) {
  const auto with_machine = [&machine](auto serve) {
    return versioned([&machine, serve](Exchange& exchange) { return serve(exchange, machine); });
  };
  const http::Handler by_daemon = entered(machine, [daemon, asking = std::make_shared<int>(0)](Exchange& exchange) {
    return serve_by_daemon(exchange, daemon, asking);
  });
  const http::Handler by_tasks =
      entered(machine, [&tasks](Exchange& exchange) { return serve_tasks(exchange, tasks); });
  http::Router router;
  router.add("GET", "/info", with_machine(serve_info))
      .add("GET", "/health", with_machine(serve_health))
      .add("POST", "/v1/checkpoint", by_daemon)
      .add("*", "/v1/checkpoints", by_daemon)
      .add("*", "/v1/checkpoints/{rest...}", by_daemon)
      .add("*", "/v1/tasks", by_tasks)
      .add("*", "/v1/tasks/{task}", by_tasks)
      .add("*", "/{rest...}", versioned(serve_nothing));
  return router;
}

}  // namespace sprite::agent
