// sprite fork, export, import
#include "base/text.h"
#include "cli/commands.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

struct ForkOptions {
  std::string source, name, checkpoint;
};

void print_sprite(Context& context, const wire::Sprite& sprite, std::string_view what_happened) {
  Terminal& terminal = context.terminal;
  if (context.globals.json)
    terminal.print_line(wire::to_json(sprite));
  else if (!terminal.output_is_terminal())
    terminal.print_line(sprite.name);
  else
    terminal.print_line(terminal.styled(Style::green, "✓ ") + sprite.name + " " + std::string(what_happened));
}

Result<int> run_fork(Context& context, const ForkOptions& options) {
  TRY(check_sprite_name(options.name));
  TRY_LET(const std::string source, context.sprite(options.source));
  wire::ForkRequest request;
  request.name = options.name;
  if (!options.checkpoint.empty()) request.checkpoint = options.checkpoint;
  TRY_LET(const Client* api, context.api());
  context.terminal.progress("forking '" + source + "' to '" + options.name + "'…");
  TRY_LET(const std::string body, api->call("POST", sprite_path(source, "/fork"), wire::to_json(request)));
  context.terminal.progress("");
  TRY_LET(const auto sprite, wire::from_json<wire::Sprite>(body));
  print_sprite(context, sprite, "is ready");
  return 0;
}

Result<Path> absolute(const std::string& path) {
  std::error_code failed;
  Path whole = std::filesystem::absolute(path, failed);
  if (failed) return system_error("cannot tell where '" + path + "' is", failed.value());
  return whole;
}

struct FileOptions {
  std::string file, name;
};

Result<int> run_export(Context& context, const FileOptions& options) {
  TRY_LET(const std::string name, context.sprite(options.name));
  TRY_LET(const Path file, absolute(options.file));
  wire::ExportRequest request;
  request.path = file.string();
  TRY_LET(const Client* api, context.api());
  context.terminal.progress("exporting '" + name + "'…");
  TRY(api->call("POST", sprite_path(name, "/export"), wire::to_json(request)));
  context.terminal.note("sprite '" + name + "' is in " + options.file);
  return 0;
}

Result<int> run_import(Context& context, const FileOptions& options) {
  if (!options.name.empty()) TRY(check_sprite_name(options.name));
  TRY_LET(const Path file, absolute(options.file));
  wire::ImportRequest request;
  request.path = file.string();
  if (!options.name.empty()) request.name = options.name;
  TRY_LET(const Client* api, context.api());
  context.terminal.progress("importing " + options.file + "…");
  TRY_LET(const std::string body, api->call("POST", "/v1/import", wire::to_json(request)));
  context.terminal.progress("");
  TRY_LET(const auto sprite, wire::from_json<wire::Sprite>(body));
  print_sprite(context, sprite, "is imported; it starts when it is used");
  return 0;
}

}  // namespace

Action fork(Syntax& syntax) {
  auto options = std::make_shared<ForkOptions>();
  syntax.positional("SOURCE", options->source, "The sprite whose disk the new one begins with");
  syntax.positional("NAME", options->name, "The new sprite's name");
  syntax.option("--checkpoint", "CHECKPOINT", options->checkpoint, "Begin with this one instead of the disk as it is");
  return [options](Context& context) { return run_fork(context, *options); };
}

Action export_sprite(Syntax& syntax) {
  auto options = std::make_shared<FileOptions>();
  syntax.positional("NAME", options->name, "The sprite");
  syntax.positional("FILE", options->file, "The new file, such as box.zst");
  return [options](Context& context) { return run_export(context, *options); };
}

Action import_sprite(Syntax& syntax) {
  auto options = std::make_shared<FileOptions>();
  syntax.positional("FILE", options->file, "What `sprite export` wrote");
  syntax.positional("NAME", options->name, "The new sprite's name; the exported one's if left out", Presence::optional);
  return [options](Context& context) { return run_import(context, *options); };
}

}  // namespace sprite::cli::verb
