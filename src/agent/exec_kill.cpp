#include <signal.h>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "agent/exec.h"
#include "base/text.h"
#include "wire/exec_frames.h"

namespace sprite::agent {
namespace {

namespace json = boost::json;
constexpr std::chrono::seconds killed_limit{5};

struct KillRequest {
  int number = SIGTERM;
  std::chrono::milliseconds timeout{10'000};
};

Result<KillRequest> parse_kill(const http::Exchange& exchange) {
  KillRequest request;
  if (const auto name = exchange.query("signal"); name && !name->empty()) {
    const auto number = wire::signal_number(*name);
    if (!number)
      return Error{Error::Kind::invalid, "there is no signal '" + *name + "'", "use TERM, KILL, HUP, INT, …", {}};
    request.number = *number;
  }
  if (const auto text = exchange.query("timeout"); text && !text->empty()) {
    TRY_LET(request.timeout, parse_duration(*text));
  }
  return request;
}

asio::awaitable<void> tell(http::Exchange& exchange, json::object event) {
  (void)co_await exchange.write_chunk(json::serialize(event) + "\n");
}

asio::awaitable<void> refuse(http::Exchange& exchange, const Sessions& sessions, const std::string& id) {
  const auto status = sessions.past(id);
  http::Response response = http::error_response(Error{
      Error::Kind::not_found, status ? "session '" + id + "' has ended already" : "there is no session '" + id + "'"});
  if (status) response.status = 410;
  co_await exchange.respond(std::move(response));
}

}  // namespace

asio::awaitable<void> serve_kill(http::Exchange& exchange, Sessions& sessions) {
  const std::string id = exchange.parameter("session");
  const auto request = parse_kill(exchange);
  if (!request) {
    co_await exchange.respond_error(request.error());
    co_return;
  }
  const auto session = sessions.find(id);
  if (!session || session->status()) {
    co_await refuse(exchange, sessions, id);
    co_return;
  }
  const std::string name = "SIG" + wire::signal_name(request->number).value_or(std::to_string(request->number));
  if (!co_await exchange.begin_stream(200, "application/x-ndjson")) co_return;
  json::object event{{"type", "signal"}, {"message", "sending " + name}, {"signal", name}, {"pid", session->pid()}};
  co_await tell(exchange, std::move(event));
  session->signal(request->number, Reach::session);
  bool ended = co_await session->wait_ended(request->timeout);
  if (ended) {
    event = {{"type", "exited"}, {"message", "the session has ended"}};
    co_await tell(exchange, std::move(event));
  } else {
    event = {{"type", "timeout"}, {"message", "it did not end in " + format_duration(request->timeout)}};
    co_await tell(exchange, std::move(event));
    session->signal(SIGKILL, Reach::session);
    ended = co_await session->wait_ended(killed_limit);
    event = {{"type", ended ? "killed" : "error"}, {"message", ended ? "killed" : "it cannot be killed"}};
    co_await tell(exchange, std::move(event));
  }
  event = {{"type", "complete"}, {"exit_code", session->status().value_or(-1)}};
  co_await tell(exchange, std::move(event));
  (void)co_await exchange.end_stream();
}

}  // namespace sprite::agent
