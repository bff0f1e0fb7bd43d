// sprite start, stop, restart, sleep, wake, pin, unpin, destroy, logs
#include <boost/json/value_from.hpp>
#include <chrono>
#include <thread>

#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/outlook.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

/// What the API calls it, and what we say while it happens and after.
struct Deed {
  std::string_view route, doing, done;
};
constexpr Deed starting{"/start", "starting", "is running"}, stopping{"/stop", "stopping", "has stopped: it is cold"},
    restarting{"/restart", "restarting", "is running again"}, waking{"/wake", "waking", "is awake: it is running"},
    pausing{"/sleep?depth=paused", "pausing", "sleeps: it is warm"},
    saving{"/sleep?depth=disk", "saving", "sleeps: it is warm, its memory goes to the disk"},
    saved{"/sleep?depth=disk&wait=true", "saving", "sleeps: its memory is on the disk"},
    ending{"/sleep?depth=cold", "stopping", "has stopped: it is cold"};

Result<int> act(Context& context, const Deed& deed, const std::string& given, std::string_view query = "") {
  TRY_LET(const std::string name, context.sprite(given));
  TRY_LET(const Client* api, context.api());
  context.terminal.progress(std::string(deed.doing) + " '" + name + "'…");
  const InterruptNote note = goes_on(std::string(deed.doing) + " '" + name + "'", name);
  const auto begin = std::chrono::system_clock::now();
  TRY_LET(const std::string body, api->call("POST", sprite_path(name, std::string(deed.route).append(query))));
  TRY_LET(const wire::Sprite sprite, wire::from_json<wire::Sprite>(body));
  const bool had_nothing_to_save = sprite.status == "cold" && &deed != &stopping && &deed != &ending;
  if (context.globals.json)
    context.terminal.print_line(body);
  else if (had_nothing_to_save)
    context.terminal.note("sprite '" + name + "' is cold: it had no memory to keep, and starts when it is used");
  else
    context.terminal.note("sprite '" + name + "' " + std::string(deed.done));
  if (const auto warning = memory_warning(sprite, begin)) context.terminal.note(*warning);
  return 0;
}

struct SleepOptions {
  std::string name;
  bool deep = false, cold = false, force = false, all = false, wait = false;

  std::string query() const { return force ? "&force=true" : ""; }
};

/// Why nobody was put to sleep: only those are passed over that sleep as deeply.
std::string why_nobody(const std::vector<wire::Sprite>& sprites, const SleepOptions& options) {
  if (sprites.empty()) return "there are no sprites";
  return options.deep || options.cold ? "all sprites are cold already" : "all sprites sleep already";
}

/// All that are awake, and with --deep also those that are only paused. All of them begin before one is waited for; one
/// that fails keeps nobody else.
Result<int> put_all_to_sleep(Context& context, const SleepOptions& options, const Deed& deed) {
  TRY_LET(const std::vector<wire::Sprite> sprites, list_sprites(context));
  TRY_LET(const Client* api, context.api());
  std::vector<std::string> asleep;
  std::optional<Error> failure;
  for (const bool waits : {false, true}) {
    if (waits && !options.wait) break;
    for (const wire::Sprite& each : sprites) {
      const bool wanted = each.status == "running" || (each.status == "warm" && (options.deep || options.cold));
      if (!wanted) continue;
      context.terminal.progress(std::string(deed.doing) + " '" + each.name + "'…");
      const auto done = api->call(
          "POST", sprite_path(each.name, std::string(deed.route) + options.query() + (waits ? "&wait=true" : "")));
      if (!done && done.error().kind != Error::Kind::not_found && !failure) failure = done.error();
      if (done && waits == options.wait) asleep.push_back(each.name);
    }
  }
  if (context.globals.json)
    print_json(context.terminal, {{"asleep", boost::json::value_from(asleep)}});
  else
    for (const std::string& name : asleep)
      context.terminal.note("sprite '" + name + "' " + std::string(options.wait ? saved.done : deed.done));
  if (failure) return *failure;
  if (asleep.empty() && !context.globals.json) context.terminal.note(why_nobody(sprites, options));
  return 0;
}

Action action_for(Syntax& syntax, const Deed& deed) {
  auto name = std::make_shared<std::string>();
  syntax.positional("NAME", *name, "The sprite", Presence::optional);
  return [name, &deed](Context& context) { return act(context, deed, *name); };
}

Result<int> set_pinned(Context& context, const std::string& given, bool pinned) {
  TRY_LET(const std::string name, context.sprite(given));
  TRY_LET(const Client* api, context.api());
  wire::UpdateRequest request;
  request.pinned = pinned;
  TRY_LET(const std::string body, api->call("PUT", sprite_path(name), wire::to_json(request)));
  if (context.globals.json)
    context.terminal.print_line(body);
  else
    context.terminal.note("sprite '" + name + (pinned ? "' does not fall asleep by itself" : "' sleeps when idle"));
  return 0;
}

Action pinning(Syntax& syntax, bool pinned) {
  auto name = std::make_shared<std::string>();
  syntax.positional("NAME", *name, "The sprite", Presence::optional);
  return [name, pinned](Context& context) { return set_pinned(context, *name, pinned); };
}

struct DestroyOptions {
  std::string name;
  bool force = false;
};

Result<int> run_destroy(Context& context, const DestroyOptions& options) {
  TRY_LET(const std::string name, context.sprite(options.name));
  Terminal& terminal = context.terminal;
  if (!options.force) {
    if (!terminal.input_is_terminal())
      return Error{Error::Kind::invalid,
                   "cannot ask whether to destroy sprite '" + name + "': this is not a terminal",
                   "sprite destroy --force " + name,
                   {}};
    TRY(get_sprite(context, name));
    const std::string answer = terminal.ask("Destroy sprite '" + name + "' and its disk for ever? [y/N] ");
    if (answer != "y" && answer != "Y" && answer != "yes") {
      terminal.note("nothing was destroyed");
      return 1;
    }
  }
  TRY_LET(const Client* api, context.api());
  terminal.progress("destroying '" + name + "'…");
  const InterruptNote note = goes_on("destroying '" + name + "'", name);
  TRY(api->call("DELETE", sprite_path(name)));
  if (context.globals.json)
    print_json(terminal, {{"destroyed", name}});
  else
    terminal.note("sprite '" + name + "' is destroyed");
  return 0;
}

struct LogOptions {
  std::string name;
  bool boot = false, follow = false;
};

/// What `now` has that was not in `before`, where a bounded log loses its begin: all of it if they share nothing.
std::string_view added_to(const std::string& before, const std::string& now) {
  if (now.starts_with(before)) return std::string_view(now).substr(before.size());
  const std::size_t tail_bytes = std::min<std::size_t>(before.size(), 1024);
  const auto at = now.rfind(before.substr(before.size() - tail_bytes));
  return at == std::string::npos ? std::string_view(now) : std::string_view(now).substr(at + tail_bytes);
}

/// A console's bytes are the guest's: all of them for a file or a program, what is harmless for a person.
std::string presentable(const Terminal& terminal, std::string text) {
  if (!terminal.output_is_terminal()) return text;
  std::erase(text, '\r');
  return harmless(text);
}

Result<int> show_logs(Context& context, const LogOptions& options) {
  TRY_LET(const std::string name, context.sprite(options.name));
  TRY_LET(const Client* api, context.api());
  std::string shown;
  if (options.follow) context.terminal.end_with_reader();
  for (;;) {
    TRY_LET(std::string text, api->call("GET", sprite_path(name, "/logs")));
    context.terminal.print(presentable(context.terminal, std::string(added_to(shown, text))));
    shown = std::move(text);
    if (!options.follow) return 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

}  // namespace

Action start(Syntax& syntax) { return action_for(syntax, starting); }
Action stop(Syntax& syntax) { return action_for(syntax, stopping); }
Action wake(Syntax& syntax) { return action_for(syntax, waking); }

Action pin(Syntax& syntax) { return pinning(syntax, true); }
Action unpin(Syntax& syntax) { return pinning(syntax, false); }

Action sleep(Syntax& syntax) {
  auto options = std::make_shared<SleepOptions>();
  syntax.positional("NAME", options->name, "The sprite", Presence::optional);
  syntax.flag("--deep", options->deep, "Memory goes to the disk; programs go on after it all the same");
  syntax.flag("--cold", options->cold, "Only the disk stays, as with `sprite stop`");
  syntax.flag("-f,--force", options->force,
              "Even where a command or console is open: it stands still until a wake, and ends with --cold");
  syntax.flag("--all", options->all, "All sprites that are awake");
  syntax.flag("--wait", options->wait, "With --deep: return when memory is on the disk");
  syntax.epilogue(
      "A sprite sleeps by itself, too: it is paused when nothing has used it for 30 s, and on the disk 10 min later\n"
      "(`sprite config update --sleep-after, --sleep-deep-after`; for all: the settings sleep.after, "
      "sleep.deep_after).\n"
      "Commands, consoles, programs at work and tasks keep it awake, and so does `sprite pin`; `sprite list` says "
      "which.\n"
      "Whatever needs it wakes it, and what its programs have set for a time of the clock; a `sleep 3600` does not.");
  return [options](Context& context) -> Result<int> {
    if (options->deep && options->cold)
      return Error{Error::Kind::invalid, "--deep and --cold exclude each other", "sprite help sleep", {}};
    if (options->all && !(options->name.empty() && context.globals.sprite.empty()))
      return Error{Error::Kind::invalid, "--all and a name exclude each other", "sprite help sleep", {}};
    if (options->wait && !options->deep)
      return Error{Error::Kind::invalid,
                   "only --deep has anything to wait for",
                   "sprite sleep --deep --wait" + (options->name.empty() ? "" : " " + options->name),
                   {}};
    const Deed& deed = options->cold ? ending : options->deep ? saving : pausing;
    if (options->all) return put_all_to_sleep(context, *options, deed);
    return act(context, options->wait ? saved : deed, options->name, options->query());
  };
}

Action restart(Syntax& syntax) { return action_for(syntax, restarting); }

Action destroy(Syntax& syntax) {
  auto options = std::make_shared<DestroyOptions>();
  syntax.positional("NAME", options->name, "The sprite", Presence::optional);
  syntax.flag("-f,--force", options->force, "Do not ask");
  return [options](Context& context) { return run_destroy(context, *options); };
}

Action logs(Syntax& syntax) {
  auto options = std::make_shared<LogOptions>();
  syntax.positional("NAME", options->name, "The sprite", Presence::optional);
  syntax.flag("--boot", options->boot, "The serial console of this boot and the last one; the default so far");
  syntax.flag("-f,--follow", options->follow, "Go on and show what is added");
  syntax.no_json("what the machine's console printed");
  return [options](Context& context) { return show_logs(context, *options); };
}

}  // namespace sprite::cli::verb
