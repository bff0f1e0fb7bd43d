#pragma once
/// Targets of requests: path, query and percent-encoding.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sprite::http {

/// Decodes %XX; what is not valid stays as it is. '+' means a space in queries only.
enum class Plus { is_plus, is_space };
std::string url_decode(std::string_view text, Plus plus = Plus::is_plus);

/// A request's target taken apart.
struct Target {
  std::string path;                                        ///< Still encoded, without the query.
  std::vector<std::pair<std::string, std::string>> query;  ///< Decoded, in order.
};
Target parse_target(std::string_view target);

}  // namespace sprite::http
