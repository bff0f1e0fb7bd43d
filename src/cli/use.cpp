// sprite use
#include <charconv>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/resources.h"
#include "cli/target.h"

namespace sprite::cli::verb {
namespace {

struct Options {
  std::string name;
  bool unset = false;
};

Result<int> unset(Context& context) {
  TRY_LET(const bool was_there, remove_target("."));
  context.terminal.note(was_there ? "no sprite is chosen here any more" : "no sprite was chosen here");
  return 0;
}

/// Lets the person at the terminal choose. Errors: invalid (no terminal, no such number).
Result<std::string> pick(Context& context) {
  Terminal& terminal = context.terminal;
  if (!terminal.input_is_terminal()) return Error{Error::Kind::invalid, "no sprite was named", "sprite use NAME", {}};
  TRY_LET(const auto sprites, list_sprites(context));
  if (sprites.empty()) return Error{Error::Kind::not_found, "there are no sprites yet", "sprite create", {}};
  for (std::size_t i = 0; i < sprites.size(); ++i) terminal.note(fmt::format("{:3}  {}", i + 1, sprites[i].name));
  const std::string answer = trim(terminal.ask("Which one? "));
  std::size_t number = 0;
  std::from_chars(answer.data(), answer.data() + answer.size(), number);
  for (std::size_t i = 0; i < sprites.size(); ++i)
    if (number == i + 1 || answer == sprites[i].name) return sprites[i].name;
  return Error{Error::Kind::invalid, "'" + answer + "' is none of them", "sprite use NAME", {}};
}

Result<int> run(Context& context, const Options& options) {
  if (options.unset) return unset(context);
  TRY_LET(std::string name, context.named(options.name));
  if (name.empty()) {
    TRY_LET(name, pick(context));
  }
  TRY(check_sprite_name(name));
  TRY_LET(const wire::Sprite sprite, get_sprite(context, name));
  TRY(write_target(
      ".", {context.globals.organization.empty() ? sprite.organization : context.globals.organization, sprite.name}));
  context.terminal.note("commands in this directory now mean sprite '" + sprite.name + "'");
  return 0;
}

}  // namespace

Action use(Syntax& syntax) {
  auto options = std::make_shared<Options>();
  syntax.positional("NAME", options->name, "The sprite; asks when left out", Presence::optional);
  syntax.flag("--unset", options->unset, "Choose none any more");
  syntax.epilogue("The choice is kept in the file .sprite of the directory; -s overrides it.");
  return [options](Context& context) { return run(context, *options); };
}

}  // namespace sprite::cli::verb
