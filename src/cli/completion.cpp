// sprite completion bash|zsh|fish: scripts made of the verbs and their parameters as the parser knows them.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "cli/commands.h"

namespace sprite::cli {
namespace {

struct Known {
  std::string name, summary;
  std::vector<Parameter> options;
};

/// Every shown verb by its first name.
std::vector<Known> known_verbs() {
  std::vector<Known> all;
  for (const Verb& verb : verbs()) {
    if (verb.group == Group::hidden) continue;
    Globals globals;
    Syntax syntax(std::string(verb.name()), std::string(verb.summary), globals);
    const Action keep = verb.define(syntax);  // owns the variables
    Known known{syntax.verb(), syntax.summary(), {}};
    for (Parameter& parameter : syntax.parameters())
      if (parameter.is_option) known.options.push_back(std::move(parameter));
    all.push_back(std::move(known));
  }
  return all;
}

/// First words, and for a group its second words; each with its summary where it is a verb.
using Words = std::map<std::string, std::string>;
std::map<std::string, Words> words_by_group(const std::vector<Known>& all) {
  std::map<std::string, Words> groups;
  for (const Known& verb : all) {
    const std::vector<std::string> parts = split(verb.name, ' ');
    groups[""].emplace(parts[0], parts.size() == 1 ? verb.summary : "");
    if (parts.size() == 2) groups[parts[0]].emplace(parts[1], verb.summary);
  }
  return groups;
}

std::string keys_of(const Words& words) {
  std::vector<std::string> keys;
  for (const auto& [word, summary] : words) keys.push_back(word);
  return join(keys, " ");
}

std::string names_of(const std::vector<Parameter>& options) {
  std::vector<std::string> names;
  for (const Parameter& option : options) names.insert(names.end(), option.names.begin(), option.names.end());
  return join(names, " ");
}

/// Sprites' names are asked for only when the daemon runs: completing must not start one.
constexpr std::string_view sprite_names = "sprite daemon status >/dev/null 2>&1 && sprite list 2>/dev/null </dev/null";

/// `text` with each "@name@" replaced.
std::string filled(std::string text, const std::map<std::string, std::string>& values) {
  for (const auto& [name, value] : values) {
    const std::string mark = "@" + name + "@";
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
      text.replace(at, mark.size(), value);
  }
  return text;
}

std::string bash_script(const std::vector<Known>& all) {
  std::string options, second;
  for (const Known& verb : all) options += fmt::format("    '{}') words='{}' ;;\n", verb.name, names_of(verb.options));
  const auto groups = words_by_group(all);
  for (const auto& [group, words] : groups)
    if (!group.empty()) second += fmt::format("    {}) words='{}' ;;\n", group, keys_of(words));
  const std::string script = R"sh(# bash completion for sprite; made by `sprite completion bash`
_sprite() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words= first= verb= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
    --) return ;;
    -s|--sprite|-o|--org) ((i++)) ;;
    -*) ;;
    *) if [[ -z $first ]]; then first=${COMP_WORDS[i]}; verb=$first
       elif [[ $verb == "$first" ]]; then verb="$first ${COMP_WORDS[i]}"; fi ;;
    esac
  done
  if [[ $previous == -s || $previous == --sprite ]]; then
    words=$(@names@)
  elif [[ -z $first ]]; then
    words='@commands@ --sprite --org --json --no-color --help --version'
  elif [[ $current == -* ]]; then
    case $verb in
@options@    esac
  elif [[ $verb == "$first" ]]; then
    case $first in
@second@    use|destroy|info|start|stop|restart|sleep|wake|pin|unpin|logs|fork|export|usage|recover) words=$(@names@) ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _sprite sprite
)sh";
  return filled(script, {{"names", std::string(sprite_names)},
                         {"commands", keys_of(groups.at(""))},
                         {"options", options},
                         {"second", second}});
}

/// `text` without the characters that would end a quoted word of the shell.
std::string plain(std::string text, std::string_view forbidden) {
  std::erase_if(text, [&](char c) { return forbidden.find(c) != std::string_view::npos; });
  return text;
}

std::string zsh_description(const Words& words) {
  std::string text;
  for (const auto& [word, summary] : words) text += fmt::format(" '{}:{}'", word, plain(summary, "':"));
  return text;
}

std::string zsh_script(const std::vector<Known>& all) {
  std::string options, second;
  for (const Known& verb : all) {
    options += fmt::format("    '{}') options=(", verb.name);
    for (const Parameter& option : verb.options)
      for (const std::string& name : option.names) {
        const std::string value = option.value.empty() ? "" : ":" + option.value + ":_default";
        options += fmt::format(" '{}[{}]{}'", name, plain(option.help, "'[]:"), value);
      }
    options += " ) ;;\n";
  }
  const auto groups = words_by_group(all);
  for (const auto& [group, words] : groups)
    if (!group.empty()) second += fmt::format("    {}) commands=({} ) ;;\n", group, zsh_description(words));
  const std::string script = R"sh(#compdef sprite
# zsh completion for sprite; made by `sprite completion zsh`
_sprite() {
  local -a commands options
  local first= verb= i
  for ((i = 2; i < CURRENT; i++)); do
    case $words[i] in
    --) _default; return ;;
    -s|--sprite|-o|--org) ((i++)) ;;
    -*) ;;
    *) if [[ -z $first ]]; then first=$words[i]; verb=$first
       elif [[ $verb == $first ]]; then verb="$first $words[i]"; fi ;;
    esac
  done
  if [[ $words[CURRENT-1] == (-s|--sprite) ]]; then
    compadd -- ${(f)"$(@names@)"}
    return
  fi
  if [[ -z $first && $words[CURRENT] != -* ]]; then
    commands=(@commands@ )
    _describe command commands
    return
  fi
  if [[ $verb == $first && $words[CURRENT] != -* ]]; then
    case $first in
@second@    use|destroy|info|start|stop|restart|sleep|wake|pin|unpin|logs|fork|export|usage|recover) compadd -- ${(f)"$(@names@)"}; return ;;
    esac
    if (($#commands)); then _describe command commands; return; fi
  fi
  case $verb in
@options@    esac
  _arguments -s $options '*:argument:_default'
}
compdef _sprite sprite
)sh";
  return filled(script, {{"names", std::string(sprite_names)},
                         {"commands", zsh_description(groups.at(""))},
                         {"options", options},
                         {"second", second}});
}

std::string fish_script(const std::vector<Known>& all) {
  std::string text = fmt::format(R"(# fish completion for sprite; made by `sprite completion fish`
function __sprite_names
  {}
end
complete -c sprite -s s -l sprite -x -a '(__sprite_names)'
)",
                                 sprite_names);
  for (const auto& [group, words] : words_by_group(all))
    for (const auto& [word, summary] : words) {
      const std::string when =
          group.empty() ? "__fish_use_subcommand"
                        : fmt::format("__fish_seen_subcommand_from {0}; and not __fish_seen_subcommand_from {1}", group,
                                      keys_of(words));
      text += fmt::format("complete -c sprite -f -n '{}' -a '{}' -d '{}'\n", when, word, plain(summary, "'"));
    }
  for (const Known& verb : all) {
    std::vector<std::string> conditions;
    for (const std::string& part : split(verb.name, ' ')) conditions.push_back("__fish_seen_subcommand_from " + part);
    for (const Parameter& option : verb.options) {
      if (option.is_global) continue;
      text += fmt::format("complete -c sprite -n '{}'", join(conditions, "; and "));
      for (const std::string& name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      text += fmt::format("{} -d '{}'\n", option.value.empty() ? "" : " -r", plain(option.help, "'"));
    }
  }
  return text;
}

}  // namespace

Result<std::string> completion_script(const std::string& shell) {
  const std::vector<Known> all = known_verbs();
  if (shell == "bash") return bash_script(all);
  if (shell == "zsh") return zsh_script(all);
  if (shell == "fish") return fish_script(all);
  return Error{Error::Kind::invalid, "no completion for shell '" + shell + "'", "choose bash, zsh or fish", {}};
}

Action verb::completion(Syntax& syntax) {
  auto shell = std::make_shared<std::string>();
  syntax.positional("SHELL", *shell, "bash, zsh or fish");
  syntax.no_json("a script");
  syntax.epilogue(
      "bash: sprite completion bash >~/.local/share/bash-completion/completions/sprite\n"
      "zsh:  sprite completion zsh >\"${fpath[1]}/_sprite\"\n"
      "fish: sprite completion fish >~/.config/fish/completions/sprite.fish");
  return [shell](Context& context) -> Result<int> {
    TRY_LET(const std::string script, completion_script(*shell));
    context.terminal.print(script);
    return 0;
  };
}

}  // namespace sprite::cli
