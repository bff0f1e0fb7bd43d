// sprite recover: what is wrong, what can be done; with --fsck, one of these
#include "base/text.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

/// Something that can be done, and what it would do.
struct Way {
  std::string command, effect;
};

/// The newest checkpoint that the user made, and the newest that a restore made.
struct Newest {
  std::optional<wire::Checkpoint> made, automatic;
};

Newest newest_of(const std::vector<wire::Checkpoint>& all) {
  Newest newest;
  for (const wire::Checkpoint& each : all) {
    if (each.id == "Current") continue;
    (each.is_auto.value_or(false) ? newest.automatic : newest.made) = each;
  }
  return newest;
}

std::string described(const wire::Checkpoint& checkpoint) {
  const std::string comment = checkpoint.comment ? ", \"" + *checkpoint.comment + "\"" : "";
  return checkpoint.id + " (" + age_of(checkpoint.create_time) + comment + ")";
}

Result<int> check_filesystem(Context& context, const std::string& given) {
  TRY_LET(const std::string name, context.sprite(given));
  Terminal& terminal = context.terminal;
  if (!context.globals.json)
    terminal.note("the disk as it is now is kept first; then every block of its filesystem is looked at…");
  std::vector<std::string> lines;
  const auto keep = [&](const std::string& line) {
    constexpr std::string_view from_e2fsck = "e2fsck: ";
    if (line.starts_with(from_e2fsck)) lines.push_back(line.substr(from_e2fsck.size()));
  };
  const auto checked = follow_progress(context, name, "/fsck", "", keep);
  if (checked && context.globals.json) {
    terminal.print_line(wire::to_json(*checked));
    return 0;
  }
  if (checked) {
    terminal.print_line(checked->data.value_or(""));
    terminal.note("what the disk was before is kept as " + checked->checkpoint_id.value_or("?") +
                  "; `sprite restore -s " + name + " --undo` goes back to it");
  }
  if (!lines.empty()) terminal.note("e2fsck, which did it, in its own words:");
  for (const std::string& line : lines) terminal.note("  " + line);
  if (!checked) return checked.error();
  return 0;
}

/// The mildest first; nothing of it loses a checkpoint.
std::vector<Way> ways_out(const std::string& name, const Newest& newest) {
  std::vector<Way> ways{
      {"sprite logs " + name, "what its kernel and our agent in it said"},
      {"sprite restart " + name,
       "ends its machine, even one that does not answer, and boots it; its filesystem repairs itself as after a loss "
       "of power"},
      {"sprite recover --fsck " + name,
       "keeps its disk as a checkpoint, then has its filesystem checked and mended (e2fsck); its programs end"}};
  if (newest.made)
    ways.push_back({"sprite restore -s " + name + " " + newest.made->id,
                    "puts its disk back to " + described(*newest.made) + "; what it is now is kept as a checkpoint"});
  if (newest.automatic)
    ways.push_back({"sprite restore -s " + name + " --undo",
                    "puts its disk back to what the last restore replaced: " + described(*newest.automatic)});
  if (newest.made)
    ways.push_back({"sprite fork " + name + " " + name + "-rescue --checkpoint " + newest.made->id,
                    "a second sprite of that checkpoint, to look into while this one stays as it is"});
  ways.push_back(
      {"sprite export " + name + " " + name + ".zst",
       "its disk as one file, whatever state the guest is in; `sprite import` makes a sprite of it anywhere"});
  return ways;
}

using Checkpoints = Result<std::vector<wire::Checkpoint>>;

boost::json::object to_json(const wire::Sprite& sprite, const wire::Check& check, const Checkpoints& checkpoints,
                            const std::vector<Way>& ways) {
  boost::json::object told{{"name", sprite.name},
                           {"status", sprite.status},
                           {"detail", sprite.detail},
                           {"health", check.status},
                           {"reason", check.reason.value_or("")},
                           {"checkpoints_error", checkpoints ? "" : checkpoints.error().what}};
  boost::json::array listed;
  for (const Way& way : ways) listed.push_back({{"command", way.command}, {"effect", way.effect}});
  told["ways"] = std::move(listed);
  return told;
}

void print(Terminal& terminal, const wire::Sprite& sprite, const wire::Check& check, const Checkpoints& checkpoints,
           const std::vector<Way>& ways) {
  const std::string detail = sprite.detail.empty() ? "" : " (" + sprite.detail + ")";
  terminal.print_line("'" + sprite.name + "' is " + sprite.status + detail + ", and " + check.status +
                      (check.reason ? ": " + *check.reason : ""));
  if (!checkpoints) terminal.print_line("Its checkpoints cannot be read: " + checkpoints.error().what);
  terminal.print_line("");
  terminal.print_line("What can be done, the mildest first; nothing of it loses a checkpoint:");
  for (const Way& way : ways) {
    terminal.print_line("  " + terminal.styled(Style::bold, way.command));
    terminal.print_line("      " + way.effect);
  }
}

/// Nothing here changes the sprite: it looks, and says what each way out would do.
Result<int> run_recover(Context& context, const std::string& given) {
  TRY_LET(const std::string name, context.sprite(given));
  TRY_LET(const wire::Sprite sprite, get_sprite(context, name));
  TRY_LET(const Client* api, context.api());
  TRY_LET(const std::string check_body, api->call("GET", sprite_path(name, "/check")));
  TRY_LET(const auto check, wire::from_json<wire::Check>(check_body));
  const auto list_body = api->call("GET", sprite_path(name, "/checkpoints?includeAuto=true"));
  const Checkpoints list =
      list_body ? wire::from_json<std::vector<wire::Checkpoint>>(*list_body) : Checkpoints(list_body.error());
  const Newest newest = list ? newest_of(*list) : Newest{};
  const std::vector<Way> ways = ways_out(name, newest);
  if (context.globals.json)
    print_json(context.terminal, to_json(sprite, check, list, ways));
  else
    print(context.terminal, sprite, check, list, ways);
  return check.status == "healthy" ? 0 : 1;
}

}  // namespace

Action recover(Syntax& syntax) {
  auto name = std::make_shared<std::string>();
  syntax.positional("NAME", *name, "The sprite", Presence::optional);
  auto fsck = std::make_shared<bool>(false);
  syntax.flag("--fsck", *fsck, "Check the filesystem of its disk and mend it, after a safety checkpoint");
  syntax.epilogue("Without --fsck it only looks and tells: exit status 0 if the sprite is well, 1 if not.");
  return
      [name, fsck](Context& context) { return *fsck ? check_filesystem(context, *name) : run_recover(context, *name); };
}

}  // namespace sprite::cli::verb
