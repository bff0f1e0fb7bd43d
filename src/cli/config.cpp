// sprite config show|get|set|path
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "cli/commands.h"
#include "cli/daemon_process.h"

namespace sprite::cli::verb {
namespace {

namespace json = boost::json;
using Entry = settings::Loaded::Entry;

json::value to_json(const Entry& entry) {
  return {{"key", entry.key->name},
          {"value", entry.value},
          {"unit", entry.key->unit},
          {"default", entry.key->standard_text},
          {"source", settings::to_string(entry.source)},
          {"help", entry.key->help}};
}

/// The entry for the key of that name. Errors: not_found.
Result<const Entry*> find_entry(const settings::Loaded& loaded, const std::string& name) {
  TRY_LET(const settings::Key* key, settings::find_key(name));
  for (const Entry& entry : loaded.entries)
    if (entry.key == key) return &entry;
  die("a setting without an entry");
}

Result<int> show(Context& context) {
  TRY_LET(const settings::Loaded* loaded, context.settings());
  if (context.globals.json) {
    json::array all;
    for (const Entry& entry : loaded->entries) all.push_back(to_json(entry));
    context.terminal.print_line(json::serialize(all));
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Entry& entry : loaded->entries)
    rows.push_back({std::string(entry.key->name), entry.value.empty() ? "\"\"" : entry.value,
                    std::string(entry.key->unit), std::string(settings::to_string(entry.source)),
                    std::string(entry.key->help)});
  context.terminal.print_table({"SETTING", "VALUE", "UNIT", "SOURCE", "MEANING"}, rows);
  return 0;
}

Result<int> get(Context& context, const std::string& name) {
  TRY_LET(const settings::Loaded* loaded, context.settings());
  TRY_LET(const Entry* entry, find_entry(*loaded, name));
  context.terminal.print_line(context.globals.json ? json::serialize(to_json(*entry)) : entry->value);
  return 0;
}

Result<int> set(Context& context, const std::string& name, const std::string& value) {
  TRY(settings::set(name, value));
  TRY_LET(const settings::Loaded* loaded, context.settings());
  TRY_LET(const Entry* entry, find_entry(*loaded, name));
  if (entry->source == settings::Source::environment)
    context.terminal.note("sprite: " + settings::variable_of(*entry->key) + " in the environment overrides this");
  if (const auto daemon = find_daemon(loaded->values); daemon && *daemon)
    context.terminal.note("`sprite daemon restart` makes the daemon use it (sprites that run stay unharmed)");
  return 0;
}

}  // namespace

Action config_show(Syntax&) {
  return [](Context& context) { return show(context); };
}

Action config_get(Syntax& syntax) {
  auto name = std::make_shared<std::string>();
  syntax.positional("KEY", *name, "A setting, such as sprite.memory");
  return [name](Context& context) { return get(context, *name); };
}

Action config_set(Syntax& syntax) {
  struct Words {
    std::string name, value;
  };
  auto words = std::make_shared<Words>();
  syntax.positional("KEY", words->name, "A setting, such as sprite.memory");
  syntax.positional("VALUE", words->value, "Its new value");
  syntax.allow_empty();
  syntax.epilogue("The file keeps its comments, and nothing is written unless the value is allowed.");
  return [words](Context& context) { return set(context, words->name, words->value); };
}

Action config_path(Syntax&) {
  return [](Context& context) -> Result<int> {
    const std::string path = settings::file_path().string();
    context.terminal.print_line(context.globals.json ? json::serialize(json::value{{"path", path}}) : path);
    return 0;
  };
}

}  // namespace sprite::cli::verb
