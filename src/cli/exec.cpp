// sprite exec, console
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/exec_client.h"
#include "cli/outlook.h"
#include "cli/resources.h"
#include "wire/activity.h"
#include "wire/json.h"

namespace sprite::cli {
namespace {

constexpr std::chrono::milliseconds patience_with_ending{15'000}, patience_with_news{500}, between_looks{100};

struct Options {
  std::string directory, session_id;
  std::vector<std::string> environment, files, command;
  bool tty = false, by_post = false, detachable = false, no_port_forward = false;
};

/// What a program on a terminal wants to know of ours.
void add_terminal_variables(std::vector<std::string>& environment) {
  for (const char* name : {"TERM", "COLORTERM", "LANG", "LC_ALL"}) {
    const bool given = std::ranges::any_of(
        environment, [&](const std::string& pair) { return pair.starts_with(std::string(name) + "="); });
    if (const auto value = settings::process_environment(name); value && !given)
      environment.push_back(std::string(name) + "=" + *value);
  }
}

/// A machine that has ended takes its connections with it before what is left of it is cleared away: until then its
/// sprite runs, but says that its agent is out of reach.
void explain_loss(Context& context, const std::string& sprite, Error& error) {
  const auto begin = std::chrono::steady_clock::now();
  for (;; std::this_thread::sleep_for(between_looks)) {
    const auto api = context.api();
    const auto answer = api ? (*api)->fetch({"GET", sprite_path(sprite)}) : api.error();
    if (!answer) return;
    std::string fate = "the sprite was destroyed";
    if (answer->status != 404) {
      const auto now = wire::from_json<wire::Sprite>(answer->body);
      if (!now) return;
      const auto patience = now->detail == wire::out_of_reach ? patience_with_ending : patience_with_news;
      if (now->status == "running" && std::chrono::steady_clock::now() < begin + patience) continue;
      if (now->status != "cold") return;
      fate = now->detail.empty() ? "the sprite was stopped" : "the sprite is cold: " + now->detail;
    }
    error.because = {std::move(fate)};
    error.hint.clear();
    return;
  }
}

ExecStreams our_streams(Context& context, const std::string& sprite) {
  ExecStreams streams;
  streams.input_is_terminal = context.terminal.input_is_terminal();
  streams.waiting = [&context, sprite](bool waits) {
    context.terminal.progress(waits ? "connecting to '" + sprite + "'…" : "");
  };
  streams.took_long = [&context, sprite, begin = std::chrono::system_clock::now()] {
    const auto now = get_sprite(context, sprite);
    if (!now) return;  // what the command itself meets is said
    if (const auto warning = memory_warning(*now, begin)) context.terminal.note(*warning);
  };
  streams.lost = [&context, sprite](Error& error) {
    context.terminal.progress("the connection was lost; asking why…");
    explain_loss(context, sprite, error);
    context.terminal.progress("");
  };
  return streams;
}

Result<int> run_session(Context& context, const ExecRequest& request) {
  TRY_LET(const Client* api, context.api());
  TRY_LET(const ExecOutcome outcome, run_exec(*api, request, our_streams(context, request.sprite)));
  if (outcome.detached)
    context.terminal.note("\ndetached; the session goes on. To join it again:\n  sprite -s " + request.sprite +
                          " attach " + outcome.session_id);
  return outcome.status;
}

/// Copies a file of ours into the sprite, by way of a program there. Errors: as open_file(), run_exec(); unavailable.
Result<> upload(Context& context, const ExecRequest& request, const std::string& text) {
  const auto colon = text.find(':');
  if (colon == 0 || colon == std::string::npos || colon + 1 == text.size())
    return Error{Error::Kind::invalid, "option --file cannot be '" + text + "'", "give SOURCE:DESTINATION", {}};
  const std::string source = text.substr(0, colon), destination = text.substr(colon + 1);
  TRY_LET(const Fd file, open_file(source, O_RDONLY));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || S_ISDIR(info.st_mode))
    return Error{Error::Kind::invalid, "'" + source + "' is a directory", "option --file takes files", {}};
  ExecRequest copy{request.sprite, {}, "", request.directory, {}, false, false, {}};
  constexpr const char* script = R"sh(set -e
mkdir -p -- "$(dirname -- "$1")"
part="$1.$$.part"
trap 'rm -f -- "$part"' EXIT
cat >"$part"
chmod "$2" "$part"
mv -T -- "$part" "$1")sh";
  copy.command = {"sh", "-c", script, "upload", destination, fmt::format("{:o}", info.st_mode & 0777)};
  ExecStreams streams = our_streams(context, request.sprite);
  streams.input = file.get();
  streams.input_is_terminal = false;
  streams.output = STDERR_FILENO;
  TRY_LET(const Client* api, context.api());
  TRY_LET(const ExecOutcome outcome, run_exec(*api, copy, streams));
  if (outcome.status == 0) return {};
  return Error{Error::Kind::unavailable, "cannot write '" + destination + "' in sprite '" + request.sprite + "'"};
}

Result<int> run(Context& context, const Options& options) {
  TRY_LET(const std::string sprite, context.sprite());
  ExecRequest request{sprite, options.command, options.session_id, options.directory,
                      {},     options.tty,     options.detachable, {}};
  if (options.command.empty() && options.session_id.empty())
    return Error{Error::Kind::invalid,
                 "no program to run was given",
                 "sprite exec -s " + sprite + " -- COMMAND..., or a shell: sprite console " + sprite,
                 {}};
  if (options.by_post && (options.tty || options.detachable || !options.session_id.empty()))
    return Error{
        Error::Kind::invalid, "--http-post runs plain programs only", "leave --tty, --detachable and --id out", {}};
  TRY_LET(request.environment, parse_environment(options.environment));
  if (options.tty) add_terminal_variables(request.environment);
  request.size = window_size(STDOUT_FILENO);
  for (const std::string& file : options.files) {
    TRY(upload(context, request, file));
  }
  if (!options.by_post) return run_session(context, request);
  TRY_LET(const Client* api, context.api());
  return run_exec_by_post(*api, request, our_streams(context, sprite));
}

}  // namespace

Result<int> open_console(Context& context, const std::string& name) {
  ExecRequest request;
  request.sprite = name;
  if (!context.terminal.input_is_terminal()) return run_session(context, request);  // a script, or nothing
  request.tty = request.detachable = true;
  request.size = window_size(STDOUT_FILENO);
  add_terminal_variables(request.environment);
  return run_session(context, request);
}

Result<int> attach_session(Context& context, const std::string& name, const std::string& id) {
  ExecRequest request;
  request.sprite = name;
  request.session_id = id;
  return run_session(context, request);
}

namespace verb {

Action exec(Syntax& syntax) {
  auto options = std::make_shared<Options>();
  syntax.rest("COMMAND", options->command, "The program and its arguments; `--` may stand before it",
              Rest::from_first_word);
  syntax.option("-d,--dir", "DIR", options->directory, "Where it runs; the home directory if left out");
  syntax.option("-e,--env", "NAME=VALUE", options->environment, "Variables, separated by commas; may be repeated");
  syntax.flag("-t,--tty", options->tty, "Give it a terminal");
  syntax.option("--file", "SOURCE:DEST", options->files, "Copy a file of ours there first; may be repeated");
  syntax.flag("--detachable", options->detachable,
              "Let it go on when the connection ends, or this terminal closes (SIGHUP)");
  syntax.option("--id", "SESSION", options->session_id, "Join this session instead");
  syntax.flag("--http-post", options->by_post, "Use a plain POST instead of a WebSocket");
  syntax.hidden_flag("--no-port-forward", options->no_port_forward);
  syntax.no_json("what the program prints");
  syntax.epilogue(
      "The exit status is the program's; 126: not executable, 127: not found, 128+n: ended by signal n,\n"
      "1: it could not be run or the connection was lost, 2: wrong usage.");
  return [options](Context& context) { return run(context, *options); };
}

Action console(Syntax& syntax) {
  struct ConsoleOptions {
    std::string name;
    bool no_port_forward = false;
  };
  auto options = std::make_shared<ConsoleOptions>();
  syntax.positional("NAME", options->name, "The sprite", Presence::optional);
  syntax.hidden_flag("--no-port-forward", options->no_port_forward);
  syntax.no_json("what the shell prints");
  syntax.epilogue(
      "Ctrl+\\ leaves the shell running; `sprite attach` comes back to it. Where standard input is no terminal, the "
      "shell "
      "reads\nits commands from there and ends with it.");
  return [options](Context& context) -> Result<int> {
    TRY_LET(const std::string name, context.sprite(options->name));
    return open_console(context, name);
  };
}

}  // namespace verb

}  // namespace sprite::cli
