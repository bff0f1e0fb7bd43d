#include <algorithm>

#include "base/text.h"
#include "bucket/bucket.h"

namespace sprite::bucket {
namespace {

bool is_allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool is_part(const std::string& part) {
  return !part.empty() && part[0] != '.' && std::ranges::all_of(part, is_allowed);
}

}  // namespace

Result<> check_key(std::string_view key) {
  if (key.size() <= 512 && std::ranges::all_of(split(key, '/'), is_part)) return {};
  return Error{Error::Kind::invalid, "'" + std::string(key) + "' is not a key for a bucket"};
}

}  // namespace sprite::bucket
