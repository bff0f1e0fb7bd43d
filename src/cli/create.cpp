// sprite create
#include <chrono>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/names.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

struct Options {
  std::string name, memory, image, from;
  std::optional<std::uint64_t> cpus;
  std::vector<std::string> labels;
  bool skip_console = false;
};

Result<wire::CreateRequest> to_request(const Options& options) {
  wire::CreateRequest request;
  request.labels = options.labels;
  request.config.cpus = options.cpus;
  if (!options.image.empty()) request.image = options.image;
  if (!options.from.empty()) request.from = options.from;
  if (options.memory.empty()) return request;
  auto bytes = parse_size(options.memory);
  if (!bytes) return std::move(bytes).error().within("option --memory cannot be '" + options.memory + "'");
  if (*bytes < MiB)
    return Error{Error::Kind::invalid, "option --memory: less than 1MiB", "give a size such as 2GiB", {}};
  request.config.ram_mb = *bytes / MiB;
  return request;
}

/// Random names may be taken: others are tried.
Result<wire::Sprite> create_named(const Client& api, wire::CreateRequest request) {
  const bool any_name = request.name.empty();
  for (int tries_left = 10;; --tries_left) {
    if (any_name) request.name = random_name();
    const InterruptNote note("sprite: '" + request.name + "' is still being made: that goes on in the background\n" +
                             "  try: sprite info " + request.name + ", or give it up: sprite destroy --force " +
                             request.name);
    auto body = api.call("POST", "/v1/sprites", wire::to_json(request));
    if (body) return wire::from_json<wire::Sprite>(*body);
    if (!any_name || body.error().kind != Error::Kind::exists || tries_left == 0) return std::move(body).error();
  }
}

Result<int> run(Context& context, const Options& options) {
  TRY_LET(wire::CreateRequest request, to_request(options));
  TRY_LET(request.name, context.named(options.name));
  if (!request.name.empty()) {
    TRY(check_sprite_name(request.name));
  }
  TRY_LET(const Client* api, context.api());
  Terminal& terminal = context.terminal;
  const auto begin = std::chrono::steady_clock::now();
  terminal.progress("creating " + (request.name.empty() ? "a sprite" : "'" + request.name + "'") + "…");
  TRY_LET(const wire::Sprite sprite, create_named(*api, request));
  terminal.progress("");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (context.globals.json)
    terminal.print_line(wire::to_json(sprite));
  else if (!terminal.output_is_terminal())
    terminal.print_line(sprite.name);
  else
    terminal.print_line(terminal.styled(Style::green, "✓ ") + sprite.name +
                        fmt::format(" is ready ({:.1f} s)", took.count()));
  const bool console =
      !options.skip_console && !context.globals.json && terminal.input_is_terminal() && terminal.output_is_terminal();
  if (!console) return 0;
  return open_console(context, sprite.name);
}

}  // namespace

Action create(Syntax& syntax) {
  auto options = std::make_shared<Options>();
  syntax.positional("NAME", options->name, "Its name: a-z, 0-9 and '-'; a random one if left out", Presence::optional);
  syntax.flag("--skip-console", options->skip_console, "Do not open a console");
  syntax.option("--label", "LABEL", options->labels, "A label; may be repeated");
  syntax.option("--memory", "SIZE", options->memory, "Memory, such as 2GiB");
  syntax.option("--cpus,--vcpus", "NUMBER", options->cpus, "Processors");
  syntax.option("--image", "IMAGE", options->image, "The image it starts from");
  syntax.option("--from", "SPRITE[@CHECKPOINT]", options->from, "Begin with another sprite's disk");
  return [options](Context& context) { return run(context, *options); };
}

}  // namespace sprite::cli::verb
