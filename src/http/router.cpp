#include <algorithm>

#include "base/text.h"
#include "http/server.h"
#include "http/url.h"

namespace sprite::http {
namespace {

bool is_tail(std::string_view pattern) { return pattern.starts_with('{') && pattern.ends_with("...}"); }
bool is_parameter(std::string_view pattern) { return pattern.starts_with('{') && pattern.ends_with('}'); }

/// "/a/b/" as {"a", "b"}; the one slash at the end makes no difference.
std::vector<std::string> segments_of(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  return split(path, '/');
}

std::optional<std::map<std::string, std::string>> match(std::span<const std::string> pattern,
                                                        std::span<const std::string> path) {
  std::map<std::string, std::string> parameters;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string& part = pattern[i];
    if (is_tail(part)) {
      parameters[part.substr(1, part.size() - 5)] = i < path.size() ? url_decode(join(path.subspan(i), "/")) : "";
      return parameters;
    }
    if (i >= path.size()) return std::nullopt;
    if (is_parameter(part)) {
      if (path[i].empty()) return std::nullopt;
      parameters[part.substr(1, part.size() - 2)] = url_decode(path[i]);
    } else if (url_decode(path[i]) != part) {
      return std::nullopt;
    }
  }
  if (path.size() != pattern.size()) return std::nullopt;
  return parameters;
}

}  // namespace

Router& Router::add(std::string method, std::string pattern, Handler handler) {
  routes_.push_back({std::move(method), segments_of(pattern), std::move(handler)});
  return *this;
}

Router::Match Router::find(std::string_view method, std::string_view path) const {
  const std::vector<std::string> segments = segments_of(path);
  Match result;
  Match get_for_head;  // a HEAD that has no route of its own is a GET whose body is dropped
  for (const Route& route : routes_) {
    auto parameters = match(route.segments, segments);
    if (!parameters) continue;
    if (route.method == method || route.method == "*") return {&route.handler, std::move(*parameters), true, {}};
    if (route.method == "GET" && method == "HEAD" && !get_for_head.handler)
      get_for_head = {&route.handler, std::move(*parameters), true, {}};
    if (std::ranges::find(result.allowed, route.method) == result.allowed.end()) result.allowed.push_back(route.method);
  }
  if (get_for_head.handler) return get_for_head;
  result.method_known = result.allowed.empty();
  return result;
}

}  // namespace sprite::http
