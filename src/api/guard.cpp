#include "api/api.h"
#include "base/text.h"

namespace sprite::api {
namespace {

/// Takes the same time wherever the first difference is.
bool equals_in_constant_time(std::string_view one, std::string_view other) {
  if (one.size() != other.size()) return false;
  unsigned char difference = 0;
  for (std::size_t i = 0; i < one.size(); ++i)
    difference = static_cast<unsigned char>(difference | (one[i] ^ other[i]));
  return difference == 0;
}

bool is_this_machine(std::string_view host) {
  if (const auto colon = host.rfind(':'); colon != std::string_view::npos) {
    const std::string_view port = host.substr(colon + 1);
    if (port.find_first_not_of("0123456789") != std::string_view::npos) return false;
    host = host.substr(0, colon);
  }
  return host == "127.0.0.1" || host == "localhost";
}

std::string_view header(const http::RequestHead& head, const char* name) {
  const auto value = head[name];
  return {value.data(), value.size()};
}

std::string_view bearer_token(std::string_view authorization) {
  constexpr std::string_view scheme = "bearer ";
  if (authorization.size() < scheme.size() || !boost::beast::iequals(authorization.substr(0, scheme.size()), scheme))
    return {};
  return authorization.substr(scheme.size());
}

http::Response unauthorized() {
  http::Response response = http::error_response(
      Error(Error::Kind::denied, "the token is missing or wrong",
            "run `eval \"$(sprite env)\"` to get the address and token of the daemon that runs now"));
  response.status = 401;
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace

http::Guard loopback_guard(std::string token) {
  return [token = std::move(token)](const http::RequestHead& head) -> std::optional<http::Response> {
    const std::string_view host = header(head, "Host");
    if (head.count("Host") != 1 || !is_this_machine(host))
      return http::error_response(Error(Error::Kind::denied, "this API is reached as 127.0.0.1 or localhost only"));
    if (head.count("Origin") > 0 && header(head, "Origin") != "http://" + std::string(host))
      return http::error_response(Error(Error::Kind::denied, "web pages may not use this API"));
    if (token.empty() || !equals_in_constant_time(bearer_token(header(head, "Authorization")), token))
      return unauthorized();
    return std::nullopt;
  };
}

}  // namespace sprite::api
