#include <yaml-cpp/yaml.h>

#include <map>

#include "base/text.h"
#include "settings/settings.h"

namespace sprite::settings {
namespace {

struct Written {
  std::string value;
  int line = 0;  ///< From 1.
};
using WrittenValues = std::map<std::string, Written, std::less<>>;

/// A settings file being read: turns YAML into values by key, and knows how to say where something is wrong.
class Reader {
 public:
  explicit Reader(const Path& file) : file_(file) {}

  Result<WrittenValues> read(const std::string& text) && {
    try {
      const YAML::Node root = YAML::Load(text);
      if (root.IsNull()) return WrittenValues{};
      if (!root.IsMap()) return wrong(root, "it must hold lines such as `memory_dir: /dev/shm/sprites`");
      TRY(walk(root, ""));
      return std::move(values_);
    } catch (const YAML::Exception& failed) {
      return Error{Error::Kind::invalid,
                   "the settings in " + place(failed.mark.line + 1) + " are not YAML",
                   "correct the line, or remove the file to have every default",
                   {failed.msg}};
    }
  }

  std::string place(int line) const { return "'" + file_.string() + "', line " + std::to_string(line); }

 private:
  Error wrong(const YAML::Node& at, std::string what) const {
    return Error{Error::Kind::invalid,
                 "the settings in " + place(at.Mark().line + 1) + ": " + std::move(what),
                 "run `sprite config show` to see all settings",
                 {}};
  }

  Result<> walk(const YAML::Node& map, const std::string& section) {
    for (const auto& pair : map) {
      if (!pair.first.IsScalar()) return wrong(pair.first, "a key must be a word");
      TRY(take(section + pair.first.Scalar(), pair.first, pair.second));
    }
    return {};
  }

  Result<> take(const std::string& name, const YAML::Node& key, const YAML::Node& value) {
    if (is_section(name)) {
      if (value.IsMap()) return walk(value, name + ".");
      if (value.IsNull()) return {};
      return wrong(key, "'" + name + "' is a section: its settings go on indented lines below it");
    }
    const auto known = find_key(name, "take that line out");
    if (!known) {
      Error unknown = known.error();
      unknown.kind = Error::Kind::invalid;
      return std::move(unknown).within("the settings in " + place(key.Mark().line + 1) + " cannot be used");
    }
    const std::string allowed = "'" + name + "' must be " + std::string((*known)->allowed);
    if (value.IsNull()) return wrong(key, "'" + name + "' has no value; " + allowed);
    if (!value.IsScalar()) return wrong(key, allowed);
    if (!values_.emplace(name, Written{value.Scalar(), value.Mark().line + 1}).second)
      return wrong(key, "'" + name + "' is set twice");
    return {};
  }

  static bool is_section(const std::string& name) {
    for (const Key& key : keys())
      if (key.name.starts_with(name + ".")) return true;
    return false;
  }

  const Path& file_;
  WrittenValues values_;
};

Result<> assign(Settings& settings, const Key& key, const std::string& value, const std::string& where) {
  if (key.assign(settings, value)) return {};
  return Error{Error::Kind::invalid,
               "setting '" + std::string(key.name) + "' cannot be '" + value + "' (" + where + ")",
               "give " + std::string(key.allowed),
               {}};
}

}  // namespace

Result<Loaded> load_from(const std::string& text, const Environment& environment) {
  Loaded loaded;
  loaded.file = file_path(environment);
  TRY_LET(const WrittenValues written, Reader(loaded.file).read(text));
  for (const Key& key : keys()) {
    Loaded::Entry entry{&key, key.standard(environment), Source::standard};
    std::string where = "the default";
    if (const auto found = written.find(key.name); found != written.end()) {
      entry = {&key, found->second.value, Source::file};
      where = Reader(loaded.file).place(found->second.line);
    }
    if (const auto variable = environment(variable_of(key))) {
      entry = {&key, *variable, Source::environment};
      where = "environment variable " + variable_of(key);
    }
    TRY(assign(loaded.values, key, entry.value, where));
    loaded.entries.push_back(std::move(entry));
  }
  return loaded;
}

Result<Loaded> load(const Environment& environment) {
  auto text = read_file(file_path(environment), 1 * MiB);
  if (text) return load_from(*text, environment);
  if (text.error().kind == Error::Kind::not_found) return load_from("", environment);
  Error error = std::move(text).error().within("cannot read the settings");
  if (error.hint.empty()) error.hint = "make the file yours and readable, or move it away to have every default";
  return error;
}

}  // namespace sprite::settings
