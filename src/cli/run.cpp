#include "cli/run.h"

#include <algorithm>

#include "cli/commands.h"
#include "cli/target.h"

namespace sprite::cli {
namespace {

constexpr int wrong_usage = 2;

/// Words that could not be parsed: whether --json is among those that are not a program's.
bool wants_json(const std::vector<std::string>& words) {
  const auto end = std::ranges::find(words, "--");
  return std::find(words.begin(), end, "--json") != end;
}

Result<int> run_verb(const Found& found, Terminal& terminal, const RunDaemon& run_daemon) {
  Globals globals;
  Syntax syntax(std::string(found.verb->name()), std::string(found.verb->summary), globals);
  const Action action = found.verb->define(syntax);
  TRY(syntax.parse(found.words));
  terminal.report_as_json(globals.json);
  if (globals.no_color) terminal.disable_color();
  if (globals.help) {
    terminal.print(help_of(syntax));
    return 0;
  }
  Context context(globals, terminal, run_daemon);
  return action(context);
}

Result<int> run_words(const std::vector<std::string>& words, Terminal& terminal, const RunDaemon& run_daemon) {
  TRY_LET(const Search search, find_verb(words));
  if (search.wants_version) {
    terminal.print_line("sprite " SPRITE_VERSION);
    return 0;
  }
  if (search.found) return run_verb(*search.found, terminal, run_daemon);
  if (search.wants_help || search.group.empty()) {
    terminal.print(overview(search.group));
    return 0;
  }
  terminal.note(overview(search.group));
  return wrong_usage;
}

}  // namespace

int run(const std::vector<std::string>& words, const RunDaemon& run_daemon) {
  Terminal terminal;
  terminal.report_as_json(wants_json(words));
  const Result<int> status = run_words(words, terminal, run_daemon);
  if (status) return *status;
  const Error error = explained_by_target(status.error(), words, ".");
  terminal.report(error);
  return exit_status(error.kind);
}

}  // namespace sprite::cli
