#include "sprite/agent_client.h"

#include "base/text.h"
#include "http/client.h"
#include "http/deadline.h"
#include "wire/json.h"

namespace sprite::agent_client {
namespace {

namespace asio = boost::asio;

constexpr std::size_t answer_bytes_max = 64 * KiB;
constexpr std::size_t text_bytes_max = 500, causes_max = 8;

/// A text of the agent's in one line, no longer than it needs to be: it is kept, logged and shown.
void tame(std::string& text) {
  text.resize(std::min(text.size(), text_bytes_max));
  for (char& each : text)
    if (static_cast<unsigned char>(each) < ' ' || each == '\x7f') each = ' ';
}

Error told_by_guest(Error error) {
  error.because.resize(std::min(error.because.size(), causes_max));
  for (std::string* text : {&error.what, &error.hint}) tame(*text);
  for (std::string& cause : error.because) tame(cause);
  return error;
}

/// One request on `stream`, which is closed (so that the request fails) when `limit` is over.
asio::awaitable<Result<http::Response>> call(Stream stream, http::Request request, std::chrono::milliseconds limit) {
  http::Deadline deadline(stream, limit);
  auto response = co_await http::fetch(stream, request, answer_bytes_max);
  if (deadline.passed()) {
    co_return Error{Error::Kind::unavailable, "the agent did not answer within " + format_duration(limit)};
  }
  if (response && response->status >= 400) co_return told_by_guest(http::error_from(*response));
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

asio::awaitable<Result<>> run_program(Stream stream, std::vector<std::string> words, std::chrono::milliseconds limit) {
  std::string target = "/v1/exec";
  for (const std::string& word : words)
    target += (&word == &words.front() ? "?cmd=" : "&cmd=") + http::url_encode(word);
  return post(std::move(stream), std::move(target), limit);
}

asio::awaitable<Result<wire::AgentStatus>> status(Stream stream, std::chrono::milliseconds limit) {
  http::Request request("GET", "/host/status");
  CO_TRY_LET(const http::Response response, co_await call(std::move(stream), std::move(request), limit));
  auto status = wire::from_json<wire::AgentStatus>(response.body);
  if (!status) co_return told_by_guest(std::move(status).error());
  for (std::string* text : {&status->version, &status->container, &status->detail}) tame(*text);
  co_return status;
}

asio::awaitable<Result<wire::Activity>> activity(Stream stream, std::optional<std::chrono::milliseconds> near,
                                                 std::chrono::milliseconds limit) {
  const std::string query = near ? "?near_ms=" + std::to_string(near->count()) : "";
  http::Request request("GET", "/host/activity" + query);
  CO_TRY_LET(const http::Response response, co_await call(std::move(stream), std::move(request), limit));
  auto activity = wire::from_json<wire::Activity>(response.body);
  if (!activity) co_return told_by_guest(std::move(activity).error());
  tame(activity->reason);
  co_return activity;
}

asio::awaitable<Result<>> shutdown(Stream stream, std::chrono::milliseconds limit) {
  return post(std::move(stream), "/host/shutdown", limit);
}

asio::awaitable<Result<>> hold(Stream stream, std::chrono::milliseconds limit) {
  return post(std::move(stream), "/host/hold", limit);
}

asio::awaitable<Result<>> go_on(Stream stream, std::chrono::milliseconds limit) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto realtime_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  return post(std::move(stream), "/host/go-on?realtime_ns=" + std::to_string(realtime_ns), limit);
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

asio::awaitable<Result<wire::DiskCheck>> check_disk(Stream stream, std::chrono::milliseconds limit) {
  http::Request request("POST", "/host/disk/check");
  CO_TRY_LET(const http::Response response, co_await call(std::move(stream), std::move(request), limit));
  co_return wire::from_json<wire::DiskCheck>(response.body);
}

asio::awaitable<Result<>> start_container(Stream stream, std::chrono::milliseconds limit) {
  return post(std::move(stream), "/host/container/start", limit);
}

}  // namespace sprite::agent_client
