#include "cli/client.h"

#include <charconv>

namespace sprite::cli {

http::Request Client::prepared(http::Request request) const {
  request.target = path_prefix_ + request.target;
  if (!endpoint_.token.empty()) request.headers.emplace_back("Authorization", "Bearer " + endpoint_.token);
  return request;
}

Result<http::Response> Client::fetch(http::Request request) const {
  request = prepared(std::move(request));
  return wait_for<http::Response>([&]() -> asio::awaitable<Result<http::Response>> {
    CO_TRY_LET(Stream stream, co_await http::connect(endpoint_));
    co_return co_await http::fetch(stream, request);
  });
}

Result<std::string> Client::call(std::string method, std::string target, std::string body) const {
  TRY_LET(http::Response response, fetch({std::move(method), std::move(target), std::move(body)}));
  if (response.status >= 400) return http::error_from(response);
  return std::move(response.body);
}

Result<> Client::stream(http::Request request, std::function<void(std::string_view)> on_part) const {
  request = prepared(std::move(request));
  std::string refusal;  // the body of an answer that turns out to be an error
  const auto keep = [&](std::string_view part) {
    if (refusal.size() < 64 * KiB) refusal += part;
    on_part(part);
  };
  auto answered = wait_for<http::Response>([&]() -> asio::awaitable<Result<http::Response>> {
    CO_TRY_LET(Stream stream, co_await http::connect(endpoint_));
    co_return co_await http::fetch_streaming(stream, request, keep);
  });
  TRY_LET(http::Response response, std::move(answered));
  if (response.status < 400) return {};
  response.body = std::move(refusal);
  return http::error_from(response);
}

Result<Client> client_for_url(const std::string& url, const std::string& token) {
  const auto wrong = [&](std::string why) {
    return Error{Error::Kind::invalid,
                 "cannot use '" + url + "' as the API's address",
                 "unset SPRITE_URL and SPRITES_API_URL to use sprites on this machine",
                 {std::move(why)}};
  };
  if (url.starts_with("https://")) return wrong("this build speaks plain http only");
  constexpr std::string_view scheme = "http://";
  if (!url.starts_with(scheme)) return wrong("it does not begin with http://");
  std::string authority = url.substr(scheme.size());
  std::string prefix;
  if (const auto slash = authority.find('/'); slash != std::string::npos) {
    prefix = authority.substr(slash);
    authority.resize(slash);
    while (prefix.ends_with('/')) prefix.pop_back();
  }
  http::Endpoint endpoint;
  endpoint.token = token;
  endpoint.port = 80;
  const auto colon = authority.rfind(':');
  endpoint.host = authority.substr(0, colon);
  if (colon != std::string::npos) {
    const char* const end = authority.data() + authority.size();
    const auto [rest, failed] = std::from_chars(authority.data() + colon + 1, end, endpoint.port);
    if (failed != std::errc{} || rest != end || endpoint.port == 0)
      return wrong("its port is not a number from 1 to 65535");
  }
  if (endpoint.host.empty()) return wrong("it names no host");
  return Client(std::move(endpoint), std::move(prefix));
}

}  // namespace sprite::cli
