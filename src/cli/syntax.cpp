#include "cli/syntax.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.h"

namespace sprite::cli {
namespace {

constexpr const char* global_group = "Global options";

struct GlobalRow {
  std::string_view letter, name;
  bool takes_value;
};
constexpr std::array global_rows{GlobalRow{"s", "sprite", true}, GlobalRow{"o", "org", true},
                                 GlobalRow{"", "json", false}, GlobalRow{"", "no-color", false},
                                 GlobalRow{"h", "help", false}};

bool is_option_word(std::string_view word) { return word.size() > 1 && word.front() == '-' && word != "--"; }

/// "--env=K=v" to "--env".
std::string name_of(const std::string& word) { return word.substr(0, word.find('=')); }

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() != 0; }

}  // namespace

struct Syntax::Parser {
  CLI::App app;
};

Syntax::Syntax(std::string verb, std::string summary, Globals& globals)
    : globals_(globals), verb_(std::move(verb)), summary_(std::move(summary)), parser_(std::make_unique<Parser>()) {
  CLI::App& app = parser_->app;
  app.set_help_flag();  // ours is a plain flag: help must not need the required arguments
  app.option_defaults()->group(global_group);
  option("-s,--sprite", "NAME", globals.sprite, "The sprite to use, instead of the one in .sprite");
  option("-o,--org", "NAME", globals.organization, "The organization; accepted, there is one only");
  flag("--json", globals.json, "Print data as JSON, and errors as JSON to standard error");
  flag("--no-color", globals.no_color, "No colours");
  flag("-h,--help", globals.help, "Show this help");
  app.option_defaults()->group("Options");
}

Syntax::~Syntax() = default;

void Syntax::flag(const std::string& names, bool& into, const std::string& help) {
  parser_->app.add_flag(names, into, help)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void Syntax::hidden_flag(const std::string& names, bool& into) { parser_->app.add_flag(names, into)->group(""); }

void Syntax::option(const std::string& names, const std::string& value, std::string& into, const std::string& help) {
  parser_->app.add_option(names, into, help)->type_name(value)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void Syntax::option(const std::string& names, const std::string& value, std::optional<std::uint64_t>& into,
                    const std::string& help) {
  const auto at = names.find("--");
  const auto take = [&into, option = names.substr(at, names.find(',', at) - at)](const std::string& text) {
    std::uint64_t number = 0;
    const auto [rest, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed != std::errc{} || rest != text.data() + text.size())
      throw CLI::ValidationError("option " + option + " cannot be '" + text + "': it is a whole number");
    into = number;
  };
  parser_->app.add_option_function<std::string>(names, take, help)
      ->type_name(value)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void Syntax::option(const std::string& names, const std::string& value, std::vector<std::string>& into,
                    const std::string& help) {
  parser_->app.add_option(names, into, help)->type_name(value)->allow_extra_args(false);
}

void Syntax::positional(const std::string& name, std::string& into, const std::string& help, Presence presence) {
  parser_->app.add_option(name, into, help)->required(presence == Presence::required);
  ++positional_count_;
}

void Syntax::positional_pair(const std::string& first, std::string& into_first, const std::string& first_help,
                             const std::string& second, std::string& into_second, const std::string& second_help) {
  positional(first, into_first, first_help, Presence::optional);
  positional(second, into_second, second_help, Presence::optional);  // the parser fills the first one first
  pair_ = Pair{first, second, &into_first, &into_second};
}

void Syntax::positionals(const std::string& name, std::vector<std::string>& into, const std::string& help) {
  parser_->app.add_option(name, into, help);
  positional_count_ = SIZE_MAX;
}

void Syntax::rest(const std::string& name, std::vector<std::string>& into, const std::string& help, Rest begins) {
  rest_ = RestWords{name, help, &into, begins};
}

Error Syntax::wrong(std::string what, std::string hint) const {
  if (hint.empty()) hint = "sprite " + verb_ + " --help";
  return Error{Error::Kind::invalid, std::move(what), std::move(hint), {}};
}

/// The long option that `word` may have been meant to be; letters are too short to guess.
std::optional<std::string> Syntax::nearest_option(const std::string& word) const {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters())
    for (const std::string& name : parameter.names)
      if (name.starts_with("--")) names.push_back(name);
  return word.size() > 3 ? nearest(word, names) : std::nullopt;
}

/// The word with the option's dashes put right: -tty to --tty.
Result<std::string> Syntax::known_option(const std::string& word) const {
  const CLI::App& app = parser_->app;
  const bool is_long = word.starts_with("--");
  const std::string long_word = is_long ? word : "-" + word;
  if (app.get_option_no_throw(name_of(long_word)) && (is_long || word.size() > 2)) return long_word;
  if (!is_long && app.get_option_no_throw(word.substr(0, 2))) return word;
  if (const auto near = nearest_option(name_of(long_word)))
    return wrong("unknown option '" + name_of(word) + "'", "did you mean '" + *near + "'?");
  if (rest_ && rest_->begins == Rest::after_dashes)
    return wrong("unknown option '" + name_of(word) + "'", "put `--` before options that are not for sprite");
  return wrong("unknown option '" + name_of(word) + "' of `sprite " + verb_ + "`");
}

/// The words in the form that CLI11 reads without guessing; those for a program go to rest_.
Result<std::vector<std::string>> Syntax::normalise(const std::vector<std::string>& words) {
  std::vector<std::string> normal;
  std::size_t positionals = 0;
  for (auto word = words.begin(); word != words.end(); ++word) {
    if (*word == "--" && rest_) {
      rest_->into->assign(word + 1, words.end());
      break;
    }
    if (*word == "--") {
      normal.insert(normal.end(), word, words.end());
      break;
    }
    if (!is_option_word(*word)) {
      if (rest_ && rest_->begins == Rest::from_first_word && positionals == positional_count_) {
        rest_->into->assign(word, words.end());
        break;
      }
      if (word->empty() && !allow_empty_) return wrong("`sprite " + verb_ + "`: an argument is empty");
      ++positionals;
      normal.push_back(*word);
      continue;
    }
    TRY_LET(std::string option, known_option(*word));
    const bool is_long = option.starts_with("--");
    const CLI::Option& known = *parser_->app.get_option_no_throw(is_long ? name_of(option) : option.substr(0, 2));
    const bool value_follows =
        takes_value(known) && (is_long ? option.find('=') == std::string::npos : option.size() == 2);
    if (!value_follows) {
      normal.push_back(option);
      continue;
    }
    if (++word == words.end()) return wrong("option '" + option + "' needs a value: " + known.get_type_name());
    if (is_option_word(*word)) {  // a value that looks like an option
      normal.push_back(is_long ? option + "=" + *word : option + *word);
    } else {
      normal.push_back(option);
      normal.push_back(*word);
    }
  }
  return normal;
}

Result<> Syntax::parse(const std::vector<std::string>& words) {
  TRY_LET(std::vector<std::string> normal, normalise(words));
  const auto asks_for_help = [](const std::string& word) { return word == "-h" || word == "--help"; };
  if (std::ranges::any_of(normal, asks_for_help)) {  // whatever else is missing or wrong
    globals_.help = true;
    return {};
  }
  std::ranges::reverse(normal);  // CLI11 takes words off the end
  try {
    parser_->app.parse(std::move(normal));
    return settle();
  } catch (const CLI::RequiredError& missing) {
    return wrong("`sprite " + verb_ + "`: " + missing.what());
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> extras = parser_->app.remaining();
    return wrong("`sprite " + verb_ + "` does not take '" + (extras.empty() ? "" : extras.back()) + "'");
  } catch (const CLI::ParseError& failed) {
    return wrong("`sprite " + verb_ + "`: " + failed.what());
  }
}

/// What the parser does not know about the words it took.
Result<> Syntax::settle() {
  if (globals_.json && !prints_.empty())
    return wrong("`sprite " + verb_ + "` prints " + prints_ + ": --json does not apply", "leave --json out");
  if (globals_.sprite.empty() && parser_->app.count("--sprite") > 0)
    return wrong("option '--sprite' is empty", "name a sprite; `sprite list` shows them");
  if (!pair_) return {};
  if (pair_->into_first->empty()) return wrong("`sprite " + verb_ + "`: " + pair_->second + " is required");
  if (pair_->into_second->empty()) std::swap(*pair_->into_first, *pair_->into_second);
  return {};
}

std::vector<Parameter> Syntax::parameters() const {
  std::vector<Parameter> parameters;
  for (const CLI::Option* option : std::as_const(parser_->app).get_options()) {
    if (option->get_group().empty() || (!prints_.empty() && option->check_lname("json"))) continue;
    Parameter parameter;
    for (const std::string& letter : option->get_snames()) parameter.names.push_back("-" + letter);
    for (const std::string& name : option->get_lnames()) parameter.names.push_back("--" + name);
    parameter.is_option = !parameter.names.empty();
    parameter.is_global = option->get_group() == global_group;
    parameter.help = option->get_description();
    const bool required = option->get_required() || (pair_ && option->get_name() == pair_->second);
    if (!parameter.is_option)
      parameter.names.push_back(required ? option->get_name() : "[" + option->get_name() + "]");
    else if (takes_value(*option))
      parameter.value = option->get_type_name();
    parameters.push_back(std::move(parameter));
  }
  if (rest_) {
    const std::string dashes = rest_->begins == Rest::after_dashes ? "-- " : "";
    parameters.push_back({{"[" + dashes + rest_->name + "...]"}, "", rest_->help, false, false});
  }
  return parameters;
}

std::optional<GlobalOption> find_global_option(std::string_view word) {
  const bool has_value = word.find('=') != std::string_view::npos;
  std::string_view name = word.substr(0, word.find('='));
  name.remove_prefix(std::min(name.find_first_not_of('-'), name.size()));
  if (!is_option_word(word) || name.empty()) return std::nullopt;
  for (const GlobalRow& row : global_rows)
    if (name == row.name || name == row.letter) return GlobalOption{row.name, row.takes_value && !has_value};
  return std::nullopt;
}

}  // namespace sprite::cli
