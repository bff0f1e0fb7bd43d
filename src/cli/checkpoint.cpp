// sprite checkpoint create, list, info, delete, restore; sprite restore
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_to.hpp>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

std::string checkpoint_route(const std::string& id) { return "/checkpoints/" + http::url_encode(id); }

void print_result(Context& context, const wire::Progress& last, const std::string& text) {
  if (context.globals.json)
    context.terminal.print_line(wire::to_json(last));
  else
    context.terminal.print_line(text);
}

struct CreateOptions {
  std::string comment;
  bool memory = false;
};

Result<int> create_checkpoint(Context& context, const CreateOptions& options) {
  TRY_LET(const std::string name, context.sprite());
  wire::CheckpointRequest request;
  if (!options.comment.empty()) request.comment = options.comment;
  if (options.memory) request.memory = true;
  TRY_LET(const wire::Progress last, follow_progress(context, name, "/checkpoint", wire::to_json(request)));
  print_result(context, last, "Checkpoint created: " + last.checkpoint_id.value_or("?"));
  return 0;
}

Result<std::vector<wire::Checkpoint>> fetch_list(Context& context, const std::string& name, const std::string& query) {
  TRY_LET(const Client* api, context.api());
  TRY_LET(const std::string body, api->call("GET", sprite_path(name, "/checkpoints" + query)));
  return wire::from_json<std::vector<wire::Checkpoint>>(body);
}

std::string marks(const wire::Checkpoint& checkpoint) {
  if (checkpoint.memory.value_or(false)) return " (with memory)";
  return checkpoint.crash_consistent.value_or(false) ? " (crash-consistent)" : "";
}

/// The nearest one that it came after and that is in the same list: automatic ones may not be.
std::string shown_source(const wire::Checkpoint& checkpoint, const std::set<std::string>& shown) {
  for (const std::string& each : checkpoint.history.value_or(std::vector<std::string>{}))
    if (shown.contains(each)) return each;
  return "";
}

struct ListOptions {
  std::string history;
  bool include_automatic = false;
};

Result<int> list_checkpoints(Context& context, const ListOptions& options) {
  TRY_LET(const std::string name, context.sprite());
  std::string query = options.include_automatic ? "?includeAuto=true" : "?includeAuto=false";
  if (!options.history.empty()) query += "&history=" + http::url_encode(options.history);
  TRY_LET(const auto all, fetch_list(context, name, query));
  Terminal& terminal = context.terminal;
  if (context.globals.json) {
    terminal.print_line(wire::to_json(all));
    return 0;
  }
  std::set<std::string> shown;
  for (const wire::Checkpoint& each : all) shown.insert(each.id);
  std::vector<std::vector<std::string>> rows;
  for (const wire::Checkpoint& each : all) {
    const bool current = each.id == "Current";
    rows.push_back({each.id, current ? "now" : age_of(each.create_time), shown_source(each, shown),
                    each.comment.value_or(current ? "the disk as it is" : "") + marks(each)});
  }
  terminal.print_table({"ID", "CREATED", "AFTER", "COMMENT"}, rows);
  return 0;
}

Result<int> show_checkpoint(Context& context, const std::string& id) {
  TRY_LET(const std::string name, context.sprite());
  TRY_LET(const Client* api, context.api());
  TRY_LET(const std::string body, api->call("GET", sprite_path(name, checkpoint_route(id))));
  if (context.globals.json) {
    context.terminal.print_line(body);
    return 0;
  }
  TRY_LET(const auto checkpoint, wire::from_json<wire::Checkpoint>(body));
  Terminal& terminal = context.terminal;
  terminal.print_line("ID:         " + checkpoint.id);
  terminal.print_line("Created:    " + checkpoint.create_time + " (" + age_of(checkpoint.create_time) + ")");
  if (checkpoint.comment) terminal.print_line("Comment:    " + *checkpoint.comment);
  if (checkpoint.is_auto) terminal.print_line("Automatic:  yes");
  if (checkpoint.memory) terminal.print_line("Memory:     kept: a restore brings programs back where they were");
  if (checkpoint.crash_consistent && checkpoint.memory)
    terminal.print_line(
        "Consistent: yes, with its memory; a fork without it begins as after a loss of power, and replays the journal");
  else if (checkpoint.crash_consistent)
    terminal.print_line(
        "Consistent: no, as after a loss of power: its journal is replayed when it is restored or forked");
  if (checkpoint.history) terminal.print_line("Came after: " + join(*checkpoint.history, ", "));
  return 0;
}

struct DiffOptions {
  std::string from, to;
};

/// Prints differences as they come; their JSON is one list, an element a line.
class DifferencePrinter {
 public:
  explicit DifferencePrinter(Context& context) : context_(context) {}

  void take(std::string_view part) {
    for (const char c : part) {
      if (c != '\n') {
        line_ += c;
        continue;
      }
      auto read = wire::from_json<wire::Difference>(line_);
      line_.clear();
      if (read) print(*read);
    }
  }
  Result<int> finish() {
    if (failed_) return Error{Error::Kind::unavailable, "the comparison is not complete", "", {*failed_}};
    if (context_.globals.json) context_.terminal.print_line(count_ == 0 ? "[]" : "]");
    return 0;
  }

 private:
  void print(const wire::Difference& each) {
    if (each.change == "error") {
      failed_ = each.path;
      return;
    }
    const std::string before = count_++ == 0 ? "[" : ",";
    context_.terminal.print_line(context_.globals.json ? before + wire::to_json(each) : each.change + " " + each.path);
  }

  Context& context_;
  std::string line_;
  std::size_t count_ = 0;
  std::optional<std::string> failed_;
};

/// Says of which sides of a comparison only what their journals have written to its place was compared.
Result<> note_journals(Context& context, const std::string& name, const DiffOptions& options) {
  TRY_LET(const auto all, fetch_list(context, name, "?includeAuto=true"));
  const auto find = [&](const std::string& id) { return std::ranges::find(all, id, &wire::Checkpoint::id); };
  const auto to = find(options.to.empty() ? "Current" : options.to);
  const auto from = find(options.from.empty() && to != all.end() ? to->source_id.value_or("") : options.from);
  for (const auto& side : {from, to})
    if (side != all.end() && side->crash_consistent.value_or(false))
      context.terminal.note("sprite: " + side->id +
                            " is as after a loss of power: changes that only its journal has are not compared");
  return {};
}

Result<int> diff_checkpoints(Context& context, const DiffOptions& options) {
  TRY_LET(const std::string name, context.sprite());
  TRY_LET(const Client* api, context.api());
  context.terminal.progress("comparing…");
  DifferencePrinter printer(context);
  const std::string query = "?from=" + http::url_encode(options.from) + "&to=" + http::url_encode(options.to);
  http::Request request("GET", sprite_path(name, "/checkpoints/diff" + query));
  TRY(api->stream(std::move(request), [&](std::string_view part) { printer.take(part); }));
  context.terminal.progress("");
  TRY_LET(const int status, printer.finish());
  if (const auto noted = note_journals(context, name, options); !noted)  // what was compared is printed, and stands
    context.terminal.note("sprite: cannot tell whether a side is as after a loss of power: " + noted.error().what);
  return status;
}

Result<int> delete_checkpoint(Context& context, const std::string& id) {
  TRY_LET(const std::string name, context.sprite());
  TRY_LET(const Client* api, context.api());
  TRY(api->call("DELETE", sprite_path(name, checkpoint_route(id))));
  if (context.globals.json)
    print_json(context.terminal, {{"deleted", id}, {"sprite", name}});
  else
    context.terminal.note("checkpoint " + id + " of '" + name + "' is deleted");
  return 0;
}

Result<int> restore_checkpoint(Context& context, const std::string& id) {
  TRY_LET(const std::string name, context.sprite());
  TRY_LET(const wire::Progress last, follow_progress(context, name, checkpoint_route(id) + "/restore"));
  print_result(context, last,
               "Restored '" + name + "' to " + id + "; what it was is kept as " + last.checkpoint_id.value_or("?"));
  if (context.globals.json) return 0;
  if (last.memory.value_or(false))
    context.terminal.note("its programs are as they were then; their network connections to the outside are dropped");
  context.terminal.note("`sprite restore -s " + name + " --undo` goes back");
  return 0;
}

struct RestoreOptions {
  std::string id;
  bool undo = false;
};

/// The newest automatic checkpoint is what was there before the last restore.
Result<std::string> last_state(Context& context) {
  TRY_LET(const std::string name, context.sprite());
  TRY_LET(const auto all, fetch_list(context, name, "?includeAuto=true"));
  for (auto each = all.rbegin(); each != all.rend(); ++each)
    if (each->is_auto.value_or(false)) return each->id;
  return Error{Error::Kind::not_found, "there is no restore of '" + name + "' to undo", "", {}};
}

Result<int> run_restore(Context& context, const RestoreOptions& options) {
  TRY_LET(const std::string name, context.sprite());
  if (options.undo != options.id.empty())
    return Error{Error::Kind::invalid,
                 options.undo ? "--undo takes no checkpoint" : "which checkpoint is to be restored?",
                 "run `sprite checkpoint list -s " + name + "`, or `sprite restore -s " + name + " --undo`",
                 {}};
  if (!options.undo) return restore_checkpoint(context, options.id);
  TRY_LET(const std::string id, last_state(context));
  return restore_checkpoint(context, id);
}

/// A verb whose only argument is a checkpoint.
Action on_checkpoint(Syntax& syntax, Result<int> (*act)(Context&, const std::string&)) {
  auto id = std::make_shared<std::string>();
  syntax.positional("CHECKPOINT", *id, "Its id, such as v3");
  return [id, act](Context& context) { return act(context, *id); };
}

}  // namespace

Action checkpoint_create(Syntax& syntax) {
  auto options = std::make_shared<CreateOptions>();
  syntax.option("--comment", "TEXT", options->comment, "What it is, for the list");
  syntax.flag("--memory", options->memory,
              "Keep the memory as well: a restore then brings programs back where they were");
  syntax.epilogue(
      "With --memory the sprite stands still for a moment. What is kept takes as much of the disk as memory is in "
      "use.");
  return [options](Context& context) { return create_checkpoint(context, *options); };
}

Action checkpoint_list(Syntax& syntax) {
  auto options = std::make_shared<ListOptions>();
  syntax.option("--history", "CHECKPOINT", options->history, "Only this one and those that it came after");
  syntax.flag("--include-auto", options->include_automatic, "Also those that a restore made");
  return [options](Context& context) { return list_checkpoints(context, *options); };
}

Action checkpoint_diff(Syntax& syntax) {
  auto options = std::make_shared<DiffOptions>();
  syntax.positional("FROM", options->from, "A checkpoint (default: the one that TO came after)", Presence::optional);
  syntax.positional("TO", options->to, "Another, or Current: the disk as it is (default)", Presence::optional);
  syntax.epilogue(
      "Lines begin with A (only in TO), M (in both, with another content, owner or mode) or D (only in FROM).\n"
      "A stopped sprite is started: its own kernel reads the disks.");
  return [options](Context& context) { return diff_checkpoints(context, *options); };
}

Action checkpoint_info(Syntax& syntax) { return on_checkpoint(syntax, show_checkpoint); }
Action checkpoint_delete(Syntax& syntax) { return on_checkpoint(syntax, delete_checkpoint); }

Action restore(Syntax& syntax) {
  auto options = std::make_shared<RestoreOptions>();
  syntax.positional("CHECKPOINT", options->id, "Its id, such as v3", Presence::optional);
  syntax.flag("--undo", options->undo, "Go back to what was there before the last restore");
  syntax.epilogue(
      "Programs end and files become what they were; of a checkpoint with memory, its programs go on where they were, "
      "but for\n"
      "their network connections to the outside, which are dropped. What was there before is kept as a checkpoint, "
      "without memory;\n"
      "the newest five of these stay.");
  return [options](Context& context) { return run_restore(context, *options); };
}

}  // namespace sprite::cli::verb
