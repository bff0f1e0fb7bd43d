#pragma once
/// The verbs. To add one: a function here, a file for it, a row in commands.cpp.
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/context.h"
#include "cli/syntax.h"

namespace sprite::cli {

/// Does what a verb is for; the value is the exit status.
using Action = std::function<Result<int>(Context&)>;

/// Sections of the overview that `sprite help` shows.
enum class Group { sprites, inside, disks, machine, hidden };

struct Verb {
  std::string_view names;  ///< "list|ls": the first is its name, the others are accepted too.
  std::string_view summary;
  Group group;
  /// Declares the arguments, and returns what to do once they are parsed.
  Action (*define)(Syntax& syntax);

  std::string_view name() const { return names.substr(0, names.find('|')); }
};

std::span<const Verb> verbs();

/// The verb that a command line names, and the words that are left for it.
struct Found {
  const Verb* verb = nullptr;
  std::vector<std::string> words;
};
/// Nothing when only a group is named ("sessions") or no word at all: then `group` says which. Errors: invalid (unknown
/// command or option; the nearest one as hint).
struct Search {
  std::optional<Found> found;
  std::string group;
  bool wants_help = false, wants_version = false;
};
Result<Search> find_verb(const std::vector<std::string>& words);

/// Help of one verb.
std::string help_of(const Syntax& syntax);
/// The list of verbs: all, or those of a group ("sessions").
std::string overview(const std::string& group = "");
/// The script that completes our command lines in a shell: "bash", "zsh" or "fish". Errors: invalid.
Result<std::string> completion_script(const std::string& shell);

namespace verb {

Action api(Syntax& syntax);
Action checkpoint_create(Syntax& syntax);
Action checkpoint_delete(Syntax& syntax);
Action checkpoint_diff(Syntax& syntax);
Action checkpoint_info(Syntax& syntax);
Action checkpoint_list(Syntax& syntax);
Action completion(Syntax& syntax);
Action config_get(Syntax& syntax);
Action config_path(Syntax& syntax);
Action config_set(Syntax& syntax);
Action config_show(Syntax& syntax);
Action config_update(Syntax& syntax);
Action console(Syntax& syntax);
Action create(Syntax& syntax);
Action daemon_logs(Syntax& syntax);
Action daemon_restart(Syntax& syntax);
Action daemon_run(Syntax& syntax);
Action daemon_start(Syntax& syntax);
Action daemon_status(Syntax& syntax);
Action daemon_stop(Syntax& syntax);
Action destroy(Syntax& syntax);
Action doctor(Syntax& syntax);
Action env(Syntax& syntax);
Action exec(Syntax& syntax);
Action export_sprite(Syntax& syntax);
Action fork(Syntax& syntax);
Action gc(Syntax& syntax);
Action help(Syntax& syntax);
Action image_build(Syntax& syntax);
Action image_export(Syntax& syntax);
Action image_import(Syntax& syntax);
Action image_info(Syntax& syntax);
Action image_list(Syntax& syntax);
Action image_remove(Syntax& syntax);
Action import_sprite(Syntax& syntax);
Action info(Syntax& syntax);
Action list(Syntax& syntax);
Action logs(Syntax& syntax);
Action recover(Syntax& syntax);
Action restart(Syntax& syntax);
Action sleep(Syntax& syntax);
Action pin(Syntax& syntax);
Action unpin(Syntax& syntax);
Action wake(Syntax& syntax);
Action restore(Syntax& syntax);
Action sessions_attach(Syntax& syntax);
Action sessions_kill(Syntax& syntax);
Action sessions_list(Syntax& syntax);
Action start(Syntax& syntax);
Action stop(Syntax& syntax);
Action url(Syntax& syntax);
Action url_update(Syntax& syntax);
Action usage(Syntax& syntax);
Action use(Syntax& syntax);
Action version(Syntax& syntax);

}  // namespace verb

}  // namespace sprite::cli
