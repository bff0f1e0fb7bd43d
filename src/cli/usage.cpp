// sprite usage, gc
#include "base/text.h"
#include "cli/commands.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

std::vector<std::string> to_row(const wire::Usage& usage) {
  return {usage.name,
          format_size(usage.apparent_bytes),
          format_size(usage.local_bytes),
          format_size(usage.shared_bytes),
          format_size(usage.cached_bytes),
          format_size(usage.unsealed_bytes),
          usage.memory_bytes == 0 ? "-" : format_size(usage.memory_bytes),
          std::to_string(usage.layers),
          std::to_string(usage.checkpoints)};
}

void print_table(Terminal& terminal, const std::vector<wire::Usage>& all) {
  std::vector<std::vector<std::string>> rows;
  for (const wire::Usage& usage : all) rows.push_back(to_row(usage));
  terminal.print_table({"NAME", "APPARENT", "OWN", "SHARED", "CACHED", "NOT PACKED", "MEMORY", "LAYERS", "CHECKPOINTS"},
                       rows);
  for (const wire::Usage& usage : all)
    if (usage.trouble) terminal.note("'" + usage.name + "': " + *usage.trouble);
}

Result<int> show_usage_of(Context& context, const std::string& name) {
  TRY_LET(const Client* api, context.api());
  TRY_LET(const std::string body, api->call("GET", sprite_path(name, "/usage")));
  if (context.globals.json) {
    context.terminal.print_line(body);
    return 0;
  }
  TRY_LET(const auto usage, wire::from_json<wire::Usage>(body));
  print_table(context.terminal, {usage});
  return 0;
}

Result<int> show_usage(Context& context) {
  TRY_LET(const Client* api, context.api());
  TRY_LET(const std::string body, api->call("GET", "/v1/usage"));
  if (context.globals.json) {
    context.terminal.print_line(body);
    return 0;
  }
  TRY_LET(const auto report, wire::from_json<wire::UsageReport>(body));
  print_table(context.terminal, report.sprites);
  if (report.packs_trouble)
    context.terminal.note("packs: " + *report.packs_trouble);
  else
    context.terminal.note(
        "packs, shared by all: " + format_size(report.packs.bytes_needed + report.packs.bytes_removed) +
        ", of which `sprite gc` gives back " + format_size(report.packs.bytes_removed));
  return 0;
}

Result<int> collect(Context& context, bool dry_run) {
  TRY_LET(const Client* api, context.api());
  wire::CollectRequest request;
  request.dry_run = dry_run;
  context.terminal.progress("looking for what no sprite needs…");
  TRY_LET(const std::string body, api->call("POST", "/v1/gc", wire::to_json(request)));
  context.terminal.progress("");
  if (context.globals.json) {
    context.terminal.print_line(body);
    return 0;
  }
  TRY_LET(const auto collected, wire::from_json<wire::Collected>(body));
  context.terminal.print_line(fmt::format(
      "{} {} packs ({}); {} packs ({}) are needed", dry_run ? "would remove" : "removed", collected.packs_removed,
      format_size(collected.bytes_removed), collected.packs_needed, format_size(collected.bytes_needed)));
  return 0;
}

}  // namespace

Action usage(Syntax& syntax) {
  auto name = std::make_shared<std::string>();
  syntax.positional("NAME", *name, "The sprite; all of them if left out", Presence::optional);
  return [name](Context& context) -> Result<int> {
    if (name->empty() && context.globals.sprite.empty()) return show_usage(context);
    TRY_LET(const std::string chosen, context.sprite(*name));
    return show_usage_of(context, chosen);
  };
}

Action gc(Syntax& syntax) {
  auto dry_run = std::make_shared<bool>(false);
  syntax.flag("-n,--dry-run", *dry_run, "Say what would be removed, and remove nothing");
  return [dry_run](Context& context) { return collect(context, *dry_run); };
}

}  // namespace sprite::cli::verb
