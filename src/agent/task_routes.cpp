#include "agent/task_routes.h"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "base/text.h"
#include "wire/json.h"

namespace sprite::agent {
namespace {

namespace json = boost::json;

constexpr std::size_t body_bytes_max = 4 * KiB;

/// What a body asks for: `expire` is seconds, or a text such as "30m".
struct Wish {
  std::string name{};
  std::chrono::milliseconds time{0};
};

Error bad_body(const std::string& why) {
  return Error{Error::Kind::invalid, why, "send JSON such as {\"name\": \"backup\", \"expire\": \"30m\"}", {}};
}

Result<std::chrono::milliseconds> parse_expire(const json::value& value) {
  boost::system::error_code failed;
  const auto seconds = value.to_number<std::int64_t>(failed);
  constexpr std::int64_t sensible_s = 1'000'000;
  if (!failed) return std::chrono::milliseconds(1000 * std::clamp(seconds, -sensible_s, sensible_s));
  if (value.is_string()) return parse_duration(value.get_string().c_str());
  return bad_body("'expire' must be a number of seconds, or a text such as 30m");
}

Result<Wish> parse_wish(const std::string& body, std::string name) {
  boost::system::error_code failed;
  const json::value parsed = json::parse(body, failed);
  if (failed || !parsed.is_object()) return bad_body("the body is not a JSON object");
  const json::value* named = parsed.get_object().if_contains("name");
  const json::value* expire = parsed.get_object().if_contains("expire");
  if (name.empty() && named && named->is_string()) name = named->get_string().c_str();
  if (name.empty()) return bad_body("'name' is missing");
  if (!expire) return bad_body("'expire' is missing");
  TRY_LET(const std::chrono::milliseconds time, parse_expire(*expire));
  return Wish{std::move(name), time};
}

Error no_such_task(const std::string& name) {
  return Error{Error::Kind::not_found, "there is no task '" + name + "'", "it may have expired", {}};
}

http::Response as_json(int status, std::string body) { return {status, "application/json", std::move(body)}; }

asio::awaitable<Result<http::Response>> hold(http::Exchange& exchange, Tasks& tasks, Tasks::IfTaken if_taken) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(body_bytes_max));
  CO_TRY_LET(const Wish wish, parse_wish(body, exchange.parameter("task")));
  CO_TRY_LET(const wire::Task task, tasks.hold(wish.name, wish.time, if_taken, std::chrono::system_clock::now()));
  co_return as_json(if_taken == Tasks::IfTaken::refuse ? 201 : 200, wire::to_json(task));
}

asio::awaitable<Result<http::Response>> answer(http::Exchange& exchange, Tasks& tasks) {
  const auto now = std::chrono::system_clock::now();
  const auto method = exchange.head().method();
  const std::string name = exchange.parameter("task");
  using Verb = boost::beast::http::verb;
  if (method == Verb::put) co_return co_await hold(exchange, tasks, Tasks::IfTaken::replace);
  if (method == Verb::post && name.empty()) co_return co_await hold(exchange, tasks, Tasks::IfTaken::refuse);
  if (method == Verb::get && name.empty()) co_return as_json(200, wire::to_json(tasks.list(now)));
  if (method == Verb::get) {
    const auto found = tasks.find(name, now);
    if (!found) co_return no_such_task(name);
    co_return as_json(200, wire::to_json(*found));
  }
  if (method == Verb::delete_ && !name.empty()) {
    if (!tasks.remove(name, now)) co_return no_such_task(name);
    co_return http::Response(204, "", "");
  }
  co_return http::Response(405, "application/json", R"({"error":"invalid","message":"tasks have no such method"})");
}

}  // namespace

asio::awaitable<void> serve_tasks(http::Exchange& exchange, Tasks& tasks) {
  auto response = co_await answer(exchange, tasks);
  if (response) {
    co_await exchange.respond(*std::move(response));
  } else {
    co_await exchange.respond_error(response.error());
  }
}

}  // namespace sprite::agent
