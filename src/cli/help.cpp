#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"

namespace sprite::cli {
namespace {

constexpr std::size_t widest_name = 30;

/// "  name   help" lines with the helps aligned.
std::string columns(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::size_t width = 0;
  for (const auto& row : rows)
    if (row.first.size() <= widest_name) width = std::max(width, row.first.size());
  std::string text;
  for (const auto& [name, help] : rows) {
    const std::string gap =
        name.size() > width ? "\n" + std::string(width + 4, ' ') : std::string(width - name.size() + 2, ' ');
    text += "  " + name + gap + help + "\n";
  }
  return text;
}

std::string label_of(const Parameter& parameter) {
  std::string label = join(parameter.names, ", ");
  if (parameter.is_option && !parameter.names[0].starts_with("--") && parameter.names.size() == 1) return label;
  if (parameter.is_option && parameter.names[0].starts_with("--")) label = "    " + label;
  return parameter.value.empty() ? label : label + " " + parameter.value;
}

std::string section(const std::string& title, const std::vector<Parameter>& all, bool options, bool globals) {
  std::vector<std::pair<std::string, std::string>> rows;
  for (const Parameter& parameter : all)
    if (parameter.is_option == options && parameter.is_global == globals)
      rows.emplace_back(label_of(parameter), parameter.help);
  return rows.empty() ? "" : "\n" + title + ":\n" + columns(rows);
}

}  // namespace

std::string help_of(const Syntax& syntax) {
  const std::vector<Parameter> parameters = syntax.parameters();
  std::string usage = "sprite " + syntax.verb() + " [options]";
  for (const Parameter& parameter : parameters)
    if (!parameter.is_option) usage += " " + parameter.names[0];
  std::string text = syntax.summary() + ".\n\nUsage: " + usage + "\n";
  for (const Verb& verb : verbs()) {
    if (verb.name() != syntax.verb() || verb.names == verb.name()) continue;
    text += "Also:  sprite " + join(split(verb.names.substr(verb.name().size() + 1), '|'), ", sprite ") + "\n";
  }
  text += section("Arguments", parameters, false, false);
  text += section("Options", parameters, true, false);
  text += section("Global options", parameters, true, true);
  if (!syntax.epilogue().empty()) text += "\n" + syntax.epilogue() + "\n";
  return text;
}

std::string overview(const std::string& group) {
  std::string text;
  if (group.empty())
    text =
        "sprite: Linux machines of your own, made with one command and kept until you destroy them.\n\nUsage: sprite "
        "COMMAND [options]\n";
  else
    text = "Usage: sprite " + group + " COMMAND [options]\n";
  const auto list = [&](Group wanted, const std::string& title) {
    std::vector<std::pair<std::string, std::string>> rows;
    for (const Verb& verb : verbs())
      if (verb.group == wanted && (group.empty() || split(verb.name(), ' ')[0] == group))
        rows.emplace_back(verb.name(), verb.summary);
    if (!rows.empty()) text += "\n" + title + ":\n" + columns(rows);
  };
  list(Group::sprites, "Sprites");
  list(Group::inside, "In a sprite");
  list(Group::disks, "Disks");
  list(Group::machine, "This machine");
  return text + "\n`sprite COMMAND --help` tells more about one.\n";
}

}  // namespace sprite::cli
