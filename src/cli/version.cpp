// sprite version, sprite help
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/text.h"
#include "cli/commands.h"

namespace sprite::cli::verb {
namespace {

Result<int> show_help(Context& context, const std::vector<std::string>& words) {
  TRY_LET(const Search search, find_verb(words));
  if (!search.found) {
    context.terminal.print(overview(search.group));
    return 0;
  }
  Globals globals;
  Syntax syntax(std::string(search.found->verb->name()), std::string(search.found->verb->summary), globals);
  (void)search.found->verb->define(syntax);
  context.terminal.print(help_of(syntax));
  return 0;
}

}  // namespace

Action version(Syntax&) {
  return [](Context& context) -> Result<int> {
    const boost::json::value value{{"version", SPRITE_VERSION}};
    context.terminal.print_line(context.globals.json ? boost::json::serialize(value) : "sprite " SPRITE_VERSION);
    return 0;
  };
}

Action help(Syntax& syntax) {
  auto words = std::make_shared<std::vector<std::string>>();
  syntax.positionals("COMMAND", *words, "The command to tell about");
  syntax.no_json("text for people");
  return [words](Context& context) { return show_help(context, *words); };
}

}  // namespace sprite::cli::verb
