#include "cli/context.h"

#include "base/text.h"
#include "cli/daemon_process.h"
#include "cli/interrupt.h"
#include "cli/target.h"
#include "settings/daemon_record.h"

namespace sprite::cli {

Result<const settings::Loaded*> Context::settings() {
  if (!settings_) {
    TRY_LET(settings_, settings::load());
  }
  return &*settings_;
}

Result<const Client*> Context::api() {
  if (api_) return &*api_;
  TRY_LET(api_, client_from_environment());
  if (api_) return &*api_;
  TRY_LET(const settings::Loaded* loaded, settings());
  const Path& runtime_dir = loaded->values.runtime_dir;
  TRY_LET(const auto running, find_daemon(loaded->values));
  if (!running) terminal.progress("starting the daemon…");
  std::optional<InterruptNote> note;
  if (!running) note.emplace("sprite: the daemon was only starting, and nothing was asked of it yet");
  auto started = ensure_daemon(loaded->values);
  note.reset();
  terminal.progress("");
  if (!started) return std::move(started).error();
  if (const auto record = settings::read_daemon_record(runtime_dir);
      record && *record && (*record)->version != SPRITE_VERSION)
    terminal.note("sprite: the daemon is version " + (*record)->version +
                  ", this is " SPRITE_VERSION "\n  try: sprite daemon restart (sprites that run stay unharmed)");
  http::Endpoint endpoint;
  endpoint.unix_socket = settings::daemon_socket(runtime_dir);
  api_.emplace(std::move(endpoint));
  return &*api_;
}

Result<std::string> Context::named(const std::string& given) const {
  if (!given.empty() && !globals.sprite.empty() && given != globals.sprite)
    return Error{Error::Kind::invalid,
                 "two sprites are named: '" + given + "', and '" + globals.sprite + "' with -s",
                 "leave one of them out",
                 {}};
  return given.empty() ? globals.sprite : given;
}

Result<std::string> Context::sprite(const std::string& given) {
  TRY_LET(std::string name, named(given));
  if (name.empty()) {
    TRY_LET(const auto target, read_target("."));
    if (!target)
      return Error{Error::Kind::invalid,
                   "no sprite was named",
                   "name it with `-s NAME`, or once for this directory: `sprite use NAME`",
                   {}};
    name = target->sprite;
  }
  TRY(check_sprite_name(name));
  return name;
}

Result<std::optional<Client>> client_from_environment(const settings::Environment& environment) {
  auto url = environment("SPRITE_URL");
  if (!url) url = environment("SPRITES_API_URL");
  if (!url) return std::optional<Client>{};
  TRY_LET(Client client, client_for_url(*url, environment("SPRITE_TOKEN").value_or("")));
  return std::optional<Client>(std::move(client));
}

}  // namespace sprite::cli
