#include "http/url.h"

#include <fmt/format.h>

#include "base/text.h"
#include "http/client.h"

namespace sprite::http {
namespace {

bool is_unreserved(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string url_encode(std::string_view text) {
  std::string encoded;
  encoded.reserve(text.size());
  for (unsigned char c : text) {
    if (is_unreserved(c)) {
      encoded += static_cast<char>(c);
    } else {
      encoded += fmt::format("%{:02X}", c);
    }
  }
  return encoded;
}

std::string url_decode(std::string_view text, Plus plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
      decoded += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i] == '+' && plus == Plus::is_space ? ' ' : text[i];
    }
  }
  return decoded;
}

Target parse_target(std::string_view target) {
  target = target.substr(0, target.find('#'));
  const auto mark = target.find('?');
  Target parsed{std::string(target.substr(0, mark)), {}};
  if (mark == std::string_view::npos) return parsed;
  for (const std::string& pair : split(target.substr(mark + 1), '&')) {
    if (pair.empty()) continue;
    const std::string_view view = pair;
    const auto equals = view.find('=');
    const auto value = equals == std::string_view::npos ? std::string_view{} : view.substr(equals + 1);
    parsed.query.emplace_back(url_decode(view.substr(0, equals), Plus::is_space), url_decode(value, Plus::is_space));
  }
  return parsed;
}

}  // namespace sprite::http
