#include "cli/target.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace sprite::cli {
namespace {

namespace json = boost::json;

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

}  // namespace

Path target_path(const Path& directory) {
  std::error_code ignored;
  const Path path = directory / ".sprite";
  return std::filesystem::is_directory(path, ignored) ? path / "target.json" : path;
}

Result<std::optional<Target>> read_target(const Path& directory) {
  const Path path = target_path(directory);
  auto text = read_file(path, 64 * KiB);
  if (!text && text.error().kind == Error::Kind::not_found) return std::optional<Target>{};
  if (!text) return std::move(text).error();
  boost::system::error_code failed;
  const json::value value = json::parse(*text, failed);
  Target target;
  if (!failed && value.is_object())
    target = {text_of(value.get_object(), "organization"), text_of(value.get_object(), "sprite")};
  if (target.sprite.empty())
    return Error{
        Error::Kind::invalid, "'" + path.string() + "' names no sprite", "write it anew: `sprite use NAME`", {}};
  return std::optional<Target>(std::move(target));
}

Error explained_by_target(Error error, const std::vector<std::string>& words, const Path& directory) {
  if (error.kind != Error::Kind::not_found) return error;
  const auto target = read_target(directory);
  if (!target || !*target) return error;
  const std::string& name = (*target)->sprite;
  const bool typed = std::ranges::any_of(words, [&](const auto& word) { return word.find(name) != word.npos; });
  if (typed || error.what != "no sprite is called '" + name + "'") return error;
  error.because.push_back("'" + target_path(directory).string() + "' names it as the sprite of this directory");
  error.hint = "name another: `sprite use NAME`; `sprite list` shows the names";
  return error;
}

Result<> write_target(const Path& directory, const Target& target) {
  const json::value value{{"organization", target.organization}, {"sprite", target.sprite}};
  return write_file_atomically(target_path(directory), json::serialize(value) + "\n", 0644);
}

Result<bool> remove_target(const Path& directory) {
  std::error_code failed;
  const Path path = target_path(directory);
  const bool was_there = std::filesystem::remove(path, failed);
  if (failed) return system_error("cannot remove '" + path.string() + "'", failed.value());
  return was_there;
}

}  // namespace sprite::cli
