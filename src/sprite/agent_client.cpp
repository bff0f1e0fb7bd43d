#include "sprite/agent_client.h"

#include <boost/asio/steady_timer.hpp>

#include "base/text.h"
#include "http/client.h"
#include "wire/json.h"

namespace sprite::agent_client {
namespace {

namespace asio = boost::asio;

/// One request on `stream`, which is closed (so that the request fails) when `limit` is over.
asio::awaitable<Result<http::Response>> call(Stream stream, http::Request request, std::chrono::milliseconds limit) {
  asio::steady_timer deadline(stream.get_executor(), limit);
  auto open_stream = std::make_shared<Stream*>(&stream);  // null once the request is over, for a timer that fires late
  auto expired = std::make_shared<bool>(false);
  deadline.async_wait([open_stream, expired](boost::system::error_code cancelled) {
    if (cancelled || !*open_stream) return;
    *expired = true;
    (*open_stream)->close();
  });
  auto response = co_await http::fetch(stream, request);
  *open_stream = nullptr;
  if (*expired) co_return Error{Error::Kind::unavailable, "the agent did not answer within " + format_duration(limit)};
  if (response && response->status >= 400) co_return http::error_from(*response);
  co_return response;
}

asio::awaitable<Result<>> post(Stream stream, std::string target, std::chrono::milliseconds limit,
                               std::string body = "") {
  http::Request request("POST", std::move(target), std::move(body));
  CO_TRY(co_await call(std::move(stream), std::move(request), limit));
  co_return Result<>{};
}

}  // namespace

asio::awaitable<Result<>> configure(Stream stream, wire::Configure identity, std::chrono::milliseconds limit) {
  http::Request request("POST", "/host/configure", wire::to_json(identity));
  CO_TRY(co_await call(std::move(stream), std::move(request), limit));
  co_return Result<>{};
}

asio::awaitable<Result<wire::AgentStatus>> status(Stream stream, std::chrono::milliseconds limit) {
  http::Request request("GET", "/host/status");
  CO_TRY_LET(const http::Response response, co_await call(std::move(stream), std::move(request), limit));
  co_return wire::from_json<wire::AgentStatus>(response.body);
}

asio::awaitable<Result<>> shutdown(Stream stream, std::chrono::milliseconds limit) {
  return post(std::move(stream), "/host/shutdown", limit);
}

asio::awaitable<Result<>> freeze(Stream stream, std::chrono::milliseconds limit) {
  return post(std::move(stream), "/host/freeze", limit);
}

asio::awaitable<Result<>> show_checkpoints(Stream stream, std::vector<wire::ShownCheckpoint> checkpoints,
                                           std::chrono::milliseconds limit) {
  return post(std::move(stream), "/host/checkpoints", limit, wire::to_json(checkpoints));
}

asio::awaitable<Result<>> thaw(Stream stream, std::chrono::milliseconds limit) {
  return post(std::move(stream), "/host/thaw", limit);
}

asio::awaitable<Result<>> stop_container(Stream stream, std::chrono::milliseconds limit) {
  return post(std::move(stream), "/host/container/stop", limit);
}

asio::awaitable<Result<>> start_container(Stream stream, std::chrono::milliseconds limit) {
  return post(std::move(stream), "/host/container/start", limit);
}

}  // namespace sprite::agent_client
