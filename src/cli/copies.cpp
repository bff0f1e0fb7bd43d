// sprite fork, export, import
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/directory.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

struct ForkOptions {
  std::string source, name, checkpoint;
  bool memory = false;
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

/// In whom programs go on after a fork with memory: a source that sleeps sleeps on.
std::string who_goes_on(Context& context, const std::string& source, const ForkOptions& options) {
  if (!options.checkpoint.empty())
    return "programs go on in '" + options.name + "' where they were at checkpoint " + options.checkpoint;
  const auto now = get_sprite(context, source);
  if (now && now->status == "running") return "programs go on in both";
  return "programs go on in '" + options.name + "'; '" + source + "' stays as it was";
}

Result<int> run_fork(Context& context, const ForkOptions& options) {
  TRY(check_sprite_name(options.name));
  TRY_LET(const std::string source, context.sprite(options.source));
  wire::ForkRequest request;
  request.name = options.name;
  if (!options.checkpoint.empty()) request.checkpoint = options.checkpoint;
  if (options.memory) request.memory = true;
  TRY_LET(const Client* api, context.api());
  context.terminal.progress("forking '" + source + "' to '" + options.name + "'…");
  const InterruptNote note = goes_on("forking '" + source + "'", options.name);
  TRY_LET(const std::string body, api->call("POST", sprite_path(source, "/fork"), wire::to_json(request)));
  context.terminal.progress("");
  TRY_LET(const auto sprite, wire::from_json<wire::Sprite>(body));
  print_sprite(context, sprite, "is ready");
  if (options.memory && !context.globals.json)
    context.terminal.note(who_goes_on(context, source, options) +
                          "; network connections to the outside are dropped in '" + sprite.name + "'");
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

struct ExportWords {
  std::string first, second;
};

/// `export [NAME] [FILE]`: a single word is the file where -s names the sprite, or where no sprite can be called that.
FileOptions meant_by(const ExportWords& words, const Globals& globals) {
  if (!words.second.empty()) return {words.second, words.first};
  const bool is_file = !globals.sprite.empty() || !check_sprite_name(words.first);
  return is_file ? FileOptions{words.first, ""} : FileOptions{"", words.first};
}

/// Shows how large a file has become that the daemon writes; it is on this machine, as the daemon is.
class WrittenSoFar {
 public:
  WrittenSoFar(Terminal& terminal, Path file, std::string doing)
      : terminal_(terminal), file_(std::move(file)), doing_(std::move(doing)) {
    terminal_.progress(doing_);
    if (terminal_.errors_are_terminal()) watching_ = std::jthread([this](std::stop_token ended) { watch(ended); });
  }
  ~WrittenSoFar() {
    if (watching_.joinable()) {
      watching_.request_stop();
      watching_.join();
    }
    terminal_.progress("");
  }
  WrittenSoFar(const WrittenSoFar&) = delete;

 private:
  void watch(const std::stop_token& ended) {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait_for(lock, ended, std::chrono::milliseconds(300), [] { return false; });
      if (ended.stop_requested()) return;
      std::error_code absent;
      const std::uint64_t bytes = std::filesystem::file_size(file_, absent);
      if (!absent) terminal_.progress(doing_ + " " + format_size(bytes) + " written");
    }
  }

  Terminal& terminal_;
  Path file_;
  std::string doing_;
  std::jthread watching_;
};

Result<int> run_export(Context& context, FileOptions options) {
  TRY_LET(const std::string name, context.sprite(options.name));
  if (options.file.empty()) options.file = name + ".zst";
  TRY_LET(const Path file, absolute(options.file));
  wire::ExportRequest request;
  request.path = file.string();
  TRY_LET(const Client* api, context.api());
  {
    const InterruptNote note("sprite: exporting '" + name + "' goes on in the background; " + options.file +
                             " appears when it is whole");
    const WrittenSoFar progress(context.terminal, unfinished_name(file), "exporting '" + name + "'…");
    TRY(api->call("POST", sprite_path(name, "/export"), wire::to_json(request)));
  }
  std::error_code unknown;
  const std::uint64_t bytes = std::filesystem::file_size(file, unknown);
  if (context.globals.json)
    print_json(context.terminal, {{"name", name}, {"file", file.string()}, {"bytes", bytes}});
  else
    context.terminal.note("sprite '" + name + "' is in " + options.file + " (" + format_size(bytes) + ")");
  return 0;
}

Result<int> run_import(Context& context, const FileOptions& options) {
  TRY_LET(const std::string name, context.named(options.name));
  if (!name.empty()) TRY(check_sprite_name(name));
  TRY_LET(const Path file, absolute(options.file));
  wire::ImportRequest request;
  request.path = file.string();
  if (!name.empty()) request.name = name;
  TRY_LET(const Client* api, context.api());
  context.terminal.progress("importing " + options.file + "…");
  const InterruptNote note("sprite: importing goes on in the background\n  try: sprite list");
  TRY_LET(const std::string body, api->call("POST", "/v1/import", wire::to_json(request)));
  context.terminal.progress("");
  TRY_LET(const auto sprite, wire::from_json<wire::Sprite>(body));
  print_sprite(context, sprite, "is imported; it starts when it is used");
  return 0;
}

}  // namespace

Action fork(Syntax& syntax) {
  auto options = std::make_shared<ForkOptions>();
  syntax.positional_pair("SOURCE", options->source,
                         "The sprite whose disk the new one begins with; else that of -s or .sprite", "NAME",
                         options->name, "The new sprite's name");
  syntax.option("--checkpoint", "CHECKPOINT", options->checkpoint, "Begin with this one instead of the disk as it is");
  syntax.flag("--memory", options->memory, "Begin with the memory as well: programs go on where they are");
  syntax.epilogue(
      "With --memory the source stands still for a moment, and goes on. The new sprite gets a name, an address, ssh "
      "host keys and\n"
      "random numbers of its own before its programs go on; its network connections to the outside are dropped, and "
      "clients of exec\n"
      "and console stay with the source (`sprite sessions list` shows the sessions of both).");
  return [options](Context& context) { return run_fork(context, *options); };
}

Action export_sprite(Syntax& syntax) {
  auto words = std::make_shared<ExportWords>();
  syntax.positional("NAME", words->first, "The sprite; else that of -s or .sprite", Presence::optional);
  syntax.positional("FILE", words->second, "The new file (default: NAME.zst)", Presence::optional);
  syntax.epilogue(
      "The file holds the whole disk as it is now, and the sprite's settings; its checkpoints and memory stay here. "
      "Where it is\n"
      "imported it needs an image, for the kernel: the same one, another of its name, or the default one.\n"
      "A single word is FILE if -s names the sprite, or if no sprite can be called that, as box.zst.");
  return [words](Context& context) { return run_export(context, meant_by(*words, context.globals)); };
}

Action import_sprite(Syntax& syntax) {
  auto options = std::make_shared<FileOptions>();
  syntax.positional("FILE", options->file, "What `sprite export` wrote");
  syntax.positional("NAME", options->name, "The new sprite's name; the exported one's if left out", Presence::optional);
  return [options](Context& context) { return run_import(context, *options); };
}

}  // namespace sprite::cli::verb
