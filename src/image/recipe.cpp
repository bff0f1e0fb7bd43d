#include "image/recipe.h"

#include <yaml-cpp/yaml.h>

#include "base/text.h"

namespace sprite::image {
namespace {

/// Reads the keys of one mapping and remembers the first mistake, so that the reading itself stays a plain list.
class Section {
 public:
  Section(YAML::Node node, std::optional<Error>& mistake) : node_(std::move(node)), mistake_(mistake) {
    if (!node_.IsMap()) complain(node_, "expected a mapping of keys to values");
  }

  std::string text(const std::string& key) {
    const YAML::Node value = take(key);
    if (!value) return "";
    if (!value.IsScalar()) complain(value, "'" + key + "' must be a text");
    return value.IsScalar() ? trim(value.Scalar()) : "";
  }
  std::vector<std::string> list(const std::string& key) {
    const YAML::Node value = take(key);
    if (!value) return {};
    if (!value.IsSequence()) complain(value, "'" + key + "' must be a list");
    std::vector<std::string> texts;
    for (const YAML::Node& each : value) {
      if (!each.IsScalar()) complain(each, "'" + key + "' must be a list of texts");
      if (each.IsScalar()) texts.push_back(each.Scalar());
    }
    return texts;
  }
  Section section(const std::string& key) {
    const YAML::Node value = take(key);
    return Section(value ? value : YAML::Node(YAML::NodeType::Map), mistake_);
  }
  /// `read` applied to the text of `key`.
  template <class T, class F>
  T parsed(const std::string& key, F&& read) {
    const YAML::Node value = take(key);
    if (!value) return T{};
    auto result = read(value.IsScalar() ? value.Scalar() : "");
    if (!result) complain(value, "'" + key + "': " + result.error().what);
    return result ? *result : T{};
  }
  /// Complains about keys that nobody asked for.
  void finish() {
    if (!node_.IsMap()) return;
    for (const auto& each : node_) {
      const std::string key = each.first.Scalar();
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      const auto close = nearest(key, known_);
      complain(each.first, "unknown key '" + key + "'" + (close ? "; did you mean '" + *close + "'?" : ""));
    }
  }

 private:
  YAML::Node take(const std::string& key) {
    known_.push_back(key);
    if (!node_.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
    const YAML::Node value = std::as_const(node_)[key];
    if (!value) complain(node_, "'" + key + "' is missing");
    return value;
  }
  void complain(const YAML::Node& where, const std::string& what) {
    if (!mistake_)
      mistake_ = Error{Error::Kind::invalid, "line " + std::to_string(where.Mark().line + 1) + ": " + what, "", {}};
  }

  YAML::Node node_;
  std::optional<Error>& mistake_;
  std::vector<std::string> known_;
};

Result<std::int64_t> unix_seconds(const std::string& text) {
  TRY_LET(const auto time, parse_time(text));
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

/// Both are handed to mmdebstrap as words of a command, of which an option is another thing.
std::string mistake_in_packages(const Recipe& recipe) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789-./";
  if (recipe.suite.starts_with('-') || recipe.suite.find_first_not_of(letters) != std::string::npos)
    return "'suite' must be the name of a release, such as bookworm";
  for (const std::string& each : recipe.sources)
    if (!each.starts_with("deb ")) return "'sources': '" + each + "' does not begin with 'deb '";
  return "";
}

Recipe read(const YAML::Node& root, std::optional<Error>& mistake) {
  Recipe recipe;
  Section top(root, mistake);
  recipe.name = top.text("name");
  recipe.suite = top.text("suite");
  recipe.sources = top.list("sources");
  recipe.timestamp_s = top.parsed<std::int64_t>("timestamp", unix_seconds);

  Section disk = top.section("disk");
  recipe.disk_bytes = disk.parsed<std::uint64_t>("size", [](const std::string& text) { return parse_size(text); });
  recipe.disk_uuid = disk.text("uuid");
  disk.finish();

  Section rootfs = top.section("rootfs");
  recipe.rootfs.packages = rootfs.list("packages");
  recipe.rootfs.exclude = rootfs.list("exclude");
  recipe.rootfs.customize = rootfs.text("customize");
  rootfs.finish();

  Section boot = top.section("boot");
  recipe.boot.packages = boot.list("packages");
  recipe.boot.programs = boot.list("programs");
  recipe.boot.modules = boot.list("modules");
  recipe.boot.arguments = boot.text("arguments");
  boot.finish();
  top.finish();
  return recipe;
}

}  // namespace

Result<Recipe> read_recipe(const Path& folder) {
  const Path file = folder / "image.yaml";
  TRY_LET(const std::string text, read_file(file, 1 * MiB));
  const auto invalid = [&](std::string why) {
    return Error{Error::Kind::invalid, "cannot use the recipe '" + file.string() + "'", "", {std::move(why)}};
  };
  try {
    std::optional<Error> mistake;
    Recipe recipe = read(YAML::Load(text), mistake);
    if (mistake) return invalid(mistake->what);
    if (auto checked = check_sprite_name(recipe.name); !checked) return invalid("'name': " + checked.error().what);
    if (std::string wrong = mistake_in_packages(recipe); !wrong.empty()) return invalid(std::move(wrong));
    return recipe;
  } catch (const YAML::Exception& exception) {
    return invalid(exception.what());
  }
}

}  // namespace sprite::image
