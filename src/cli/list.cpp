// sprite list
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <thread>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

struct Options {
  std::string prefix;
  bool watch = false;
};

std::vector<std::string> to_row(const Terminal& terminal, const wire::Sprite& sprite) {
  return {sprite.name,
          styled_status(terminal, sprite.status),
          sleep_outlook(sprite),
          format_size(sprite.disk_used_bytes),
          age_of(sprite.created_at),
          join(sprite.labels, ",")};
}

void print(Context& context, const std::vector<wire::Sprite>& sprites) {
  Terminal& terminal = context.terminal;
  if (context.globals.json) {
    boost::json::array all;
    for (const wire::Sprite& sprite : sprites) all.push_back(wire::to_value(sprite));
    return print_json(terminal, all);
  }
  if (!terminal.output_is_terminal()) {
    for (const wire::Sprite& sprite : sprites) terminal.print_line(sprite.name);
    return;
  }
  if (sprites.empty()) return terminal.note("no sprites yet; `sprite create` makes one");
  std::vector<std::vector<std::string>> rows;
  for (const wire::Sprite& sprite : sprites) rows.push_back(to_row(terminal, sprite));
  terminal.print_table({"NAME", "STATUS", "NEXT", "DISK", "CREATED", "LABELS"}, rows);
  for (const wire::Sprite& sprite : sprites)
    if (sprite.status == "running" && !sprite.detail.empty())
      terminal.note("sprite: '" + sprite.name + "': " + sprite.detail);
}

/// Calls `on_line` with each line of what comes in pieces.
class Lines {
 public:
  explicit Lines(std::function<void(const std::string&)> on_line) : on_line_(std::move(on_line)) {}
  void add(std::string_view part) {
    for (const char c : part) {
      if (c != '\n') {
        line_ += c;
        continue;
      }
      on_line_(std::exchange(line_, {}));
    }
  }

 private:
  std::function<void(const std::string&)> on_line_;
  std::string line_;
};

/// On a terminal the table is drawn anew at each change; else a line for each change.
Result<int> watch(Context& context, const Options& options) {
  TRY_LET(const Client* api, context.api());
  Terminal& terminal = context.terminal;
  terminal.end_with_reader();
  std::map<std::string, std::string> shown;  // a daemon begins with what we know already
  bool heard = false;
  const auto show = [&](const std::string& line) {
    const auto event = wire::from_json<wire::ListEvent>(line);
    if (event && !std::exchange(heard, true)) terminal.progress("");
    if (!event || !event->name || !event->name->starts_with(options.prefix)) return;
    if (context.globals.json) return terminal.print_line(line);
    const std::string status = event->status.value_or("");
    const bool is_news = std::exchange(shown[*event->name], status) != status;
    if (!terminal.output_is_terminal()) return is_news ? terminal.print_line(*event->name + " " + status) : void();
    auto sprites = list_sprites(context, options.prefix);
    if (!sprites) return;
    terminal.print("\033[H\033[2J");
    print(context, *sprites);
  };
  if (terminal.output_is_terminal() && !context.globals.json) {
    TRY_LET(const auto sprites, list_sprites(context, options.prefix));
    terminal.print("\033[H\033[2J");
    print(context, sprites);
  }
  const http::Request request{"GET", "/v1/sprites", "", "", {{"Accept", "application/x-ndjson"}}};
  for (bool connected = false;;) {  // whoever watches sees the daemon end and the next one come
    heard = false;
    Lines lines(show);
    const auto ended = api->stream(request, [&](std::string_view part) { lines.add(part); });
    connected = connected || heard;
    const bool lost =
        ended || ended.error().kind == Error::Kind::unavailable || ended.error().kind == Error::Kind::not_found;
    if (!connected || !lost) {
      TRY(ended);
    }
    terminal.progress("the daemon is away; waiting for the next one…");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

Result<int> run(Context& context, const Options& options) {
  if (options.watch) return watch(context, options);
  TRY_LET(const auto sprites, list_sprites(context, options.prefix));
  print(context, sprites);
  return 0;
}

}  // namespace

Action list(Syntax& syntax) {
  auto options = std::make_shared<Options>();
  syntax.option("--prefix", "TEXT", options->prefix, "Only names that begin so");
  syntax.flag("-w,--watch", options->watch, "Go on and show changes");
  syntax.epilogue(
      "In a pipe it prints the names only, one a line (with -w: a name and its status); --json prints everything.");
  return [options](Context& context) { return run(context, *options); };
}

}  // namespace sprite::cli::verb
