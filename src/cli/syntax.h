#pragma once
/// What one verb accepts on the command line. Nothing else includes CLI11: it is slow to compile, and its exceptions
/// end here.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sprite::cli {

/// Options that every verb has, before or after it.
struct Globals {
  std::string sprite, organization;
  bool json = false;
  bool no_color = false;
  bool help = false;
};

enum class Presence { required, optional };

/// Where the words begin that are not ours to understand: a program's arguments.
enum class Rest { from_first_word, after_dashes };

/// One argument or option, for help and completion.
struct Parameter {
  std::vector<std::string> names;  ///< "-t", "--tty"; an argument's own name: "NAME".
  std::string value;               ///< What follows the option, "DIR"; empty for a flag.
  std::string help;
  bool is_option = false;
  bool is_global = false;
};

/// The parameters of one verb, and the parser for them. The variables given by reference must outlive parse().
class Syntax {
 public:
  /// `verb` as written after "sprite": "sessions attach".
  Syntax(std::string verb, std::string summary, Globals& globals);
  ~Syntax();

  /// `names` separated by commas: "-t,--tty".
  void flag(const std::string& names, bool& into, const std::string& help);
  void option(const std::string& names, const std::string& value, std::string& into, const std::string& help);
  void option(const std::string& names, const std::string& value, std::optional<std::uint64_t>& into,
              const std::string& help);
  /// May be given several times.
  void option(const std::string& names, const std::string& value, std::vector<std::string>& into,
              const std::string& help);
  void positional(const std::string& name, std::string& into, const std::string& help,
                  Presence presence = Presence::required);
  void positionals(const std::string& name, std::vector<std::string>& into, const std::string& help);
  /// An argument that may be left out although one that may not follows it: `fork [SOURCE] NAME`. One word is the
  /// second.
  void positional_pair(const std::string& first, std::string& into_first, const std::string& first_help,
                       const std::string& second, std::string& into_second, const std::string& second_help);
  /// Words for a program: taken as they are, options included.
  void rest(const std::string& name, std::vector<std::string>& into, const std::string& help, Rest begins);
  /// Accepted and not shown: old spellings.
  void hidden_flag(const std::string& names, bool& into);
  /// What the verb prints is not ours to put into JSON: --json is refused, and not shown. `prints`: "what the program
  /// prints".
  void no_json(std::string prints) { prints_ = std::move(prints); }
  /// Arguments may be empty; else that is refused, since a name that a script left empty would mean the one in .sprite.
  void allow_empty() { allow_empty_ = true; }
  /// A paragraph below the options, such as examples.
  void epilogue(std::string text) { epilogue_ = std::move(text); }

  /// Fills the variables. Long options may have a single dash (-tty). Errors: invalid (with what would have been
  /// right).
  Result<> parse(const std::vector<std::string>& words);

  const std::string& verb() const { return verb_; }
  const std::string& summary() const { return summary_; }
  const std::string& epilogue() const { return epilogue_; }
  std::vector<Parameter> parameters() const;

 private:
  struct Parser;  // CLI::App
  struct RestWords {
    std::string name, help;
    std::vector<std::string>* into = nullptr;
    Rest begins = Rest::after_dashes;
  };
  Result<std::vector<std::string>> normalise(const std::vector<std::string>& words);
  std::optional<std::string> nearest_option(const std::string& word) const;
  Result<std::string> known_option(const std::string& word) const;
  Result<> settle();
  Error wrong(std::string what, std::string hint = "") const;

  Globals& globals_;
  std::string verb_, summary_, epilogue_, prints_;
  std::unique_ptr<Parser> parser_;
  std::optional<RestWords> rest_;
  struct Pair {
    std::string first, second;  ///< Their names.
    std::string *into_first = nullptr, *into_second = nullptr;
  };
  std::optional<Pair> pair_;
  bool allow_empty_ = false;
  std::size_t positional_count_ = 0;
};

/// A global option that stands before the verb: its name without dashes if `word` is one. `takes_value` tells whether
/// the next word belongs to it.
struct GlobalOption {
  std::string_view name;
  bool takes_value;
};
std::optional<GlobalOption> find_global_option(std::string_view word);

}  // namespace sprite::cli
