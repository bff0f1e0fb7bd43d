// sprite info, url, url update, config update
#include "base/text.h"
#include "cli/commands.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

constexpr std::size_t digest_digits_shown = 12;

void print_field(Terminal& terminal, std::string label, const std::string& value) {
  if (value.empty()) return;
  label += ":";
  label.resize(std::max<std::size_t>(label.size() + 1, 12), ' ');
  terminal.print_line(label + value);
}

Result<int> show_info(Context& context, const std::string& given) {
  TRY_LET(const std::string name, context.sprite(given));
  TRY_LET(const wire::Sprite sprite, get_sprite(context, name));
  Terminal& terminal = context.terminal;
  if (context.globals.json) {
    terminal.print_line(wire::to_json(sprite));
    return 0;
  }
  const std::string detail = sprite.detail.empty() ? "" : " (" + sprite.detail + ")";
  print_field(terminal, "Name", sprite.name);
  print_field(terminal, "Status", styled_status(terminal, sprite.status) + detail);
  print_field(terminal, "Sleep", sleep_outlook(sprite));
  if (sprite.timer_due_at) print_field(terminal, "Own timer", "due at " + *sprite.timer_due_at + ": it wakes for that");
  if (sprite.sleep_after || sprite.sleep_deep_after)
    print_field(terminal, "Sleeps",
                "paused after " + sprite.sleep_after.value_or("the default time") + ", on the disk after " +
                    sprite.sleep_deep_after.value_or("the default time"));
  print_field(terminal, "URL", sprite.url);
  if (!sprite.url.empty()) print_field(terminal, "URL auth", sprite.url_settings.auth);
  print_field(terminal, "Image", sprite.image.substr(0, sprite.image.find('@') + 1 + digest_digits_shown));
  if (sprite.config.ram_mb) print_field(terminal, "Memory", format_size(*sprite.config.ram_mb * MiB));
  if (sprite.config.cpus) print_field(terminal, "Processors", std::to_string(*sprite.config.cpus));
  print_field(terminal, "Disk used", format_size(sprite.disk_used_bytes));
  print_field(terminal, "Labels", join(sprite.labels, ", "));
  print_field(terminal, "Created", sprite.created_at + " (" + age_of(sprite.created_at) + ")");
  print_field(terminal, "Id", sprite.id);
  return 0;
}

Result<int> show_url(Context& context) {
  TRY_LET(const std::string name, context.sprite());
  TRY_LET(const wire::Sprite sprite, get_sprite(context, name));
  if (sprite.url.empty())
    return Error{Error::Kind::unavailable,
                 "sprite '" + name + "' has no URL: this version does not serve what listens in sprites",
                 "reach it from inside: sprite exec -s " + name + " -- curl http://localhost:8080",
                 {}};
  if (context.globals.json)
    print_json(context.terminal, {{"url", sprite.url}, {"auth", sprite.url_settings.auth}});
  else
    context.terminal.print_line(sprite.url);
  return 0;
}

struct Changes {
  std::string auth, private_access;
  std::vector<std::string> labels;
  bool clear_labels = false;
  std::string sleep_after, sleep_deep_after;

  bool of_url() const { return !auth.empty() || !private_access.empty(); }
  bool any() const {
    return of_url() || !labels.empty() || clear_labels || !sleep_after.empty() || !sleep_deep_after.empty();
  }
};

Result<int> update(Context& context, const Changes& changes) {
  wire::UpdateRequest request;
  if (!changes.auth.empty() && changes.auth != "public" && changes.auth != "sprite")
    return Error{Error::Kind::invalid, "URL auth cannot be '" + changes.auth + "'", "choose public or sprite", {}};
  if (!changes.labels.empty()) request.labels = changes.labels;
  request.clear_labels = changes.clear_labels;
  if (!changes.sleep_after.empty()) request.sleep_after = changes.sleep_after;
  if (!changes.sleep_deep_after.empty()) request.sleep_deep_after = changes.sleep_deep_after;
  if (!changes.any()) return Error{Error::Kind::invalid, "nothing to change was given", "see --help", {}};
  TRY_LET(const std::string name, context.sprite());
  if (changes.of_url()) {
    TRY_LET(const wire::Sprite before, get_sprite(context, name));
    request.url_settings = before.url_settings;
    if (!changes.auth.empty()) request.url_settings->auth = changes.auth;
    if (!changes.private_access.empty()) request.url_settings->private_access = changes.private_access;
  }
  TRY_LET(const Client* api, context.api());
  TRY_LET(const std::string body, api->call("PUT", sprite_path(name), wire::to_json(request)));
  if (context.globals.json)
    context.terminal.print_line(body);
  else
    context.terminal.note("sprite '" + name + "' is updated");
  return 0;
}

}  // namespace

Action info(Syntax& syntax) {
  auto name = std::make_shared<std::string>();
  syntax.positional("NAME", *name, "The sprite", Presence::optional);
  return [name](Context& context) { return show_info(context, *name); };
}

Action url(Syntax&) { return show_url; }

Action url_update(Syntax& syntax) {
  auto changes = std::make_shared<Changes>();
  syntax.option("-a,--auth", "MODE", changes->auth, "public: anybody; sprite: with the token only");
  return [changes](Context& context) { return update(context, *changes); };
}

Action config_update(Syntax& syntax) {
  auto changes = std::make_shared<Changes>();
  syntax.option("--url-auth", "MODE", changes->auth, "public: anybody; sprite: with the token only");
  syntax.option("--private-access", "WHO", changes->private_access, "admins or org_users");
  syntax.option("--label", "LABEL", changes->labels, "The labels it has from now on; may be repeated");
  syntax.flag("--clear-labels", changes->clear_labels, "Remove every label");
  syntax.option("--sleep-after", "TIME", changes->sleep_after,
                "How long it is idle until it is paused: 5m, never, default");
  syntax.option("--sleep-deep-after", "TIME", changes->sleep_deep_after,
                "How long it is paused until its memory is put on the disk");
  return [changes](Context& context) { return update(context, *changes); };
}

}  // namespace sprite::cli::verb
