// sprite api, env
#include <unistd.h>

#include "base/process.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/curl.h"
#include "cli/daemon_process.h"
#include "cli/resources.h"
#include "settings/daemon_record.h"

namespace sprite::cli::verb {
namespace {

struct ApiWords {
  std::string path;
  std::vector<std::string> curl_options;
};

/// Without a sprite a path is relative to /v1; with one, to the sprite.
std::string full_path(const std::string& path, const std::string& sprite) {
  const std::string absolute = path.starts_with('/') ? path : "/" + path;
  if (absolute == "/v1" || absolute.starts_with("/v1/")) return absolute;
  return (sprite.empty() ? "/v1" : sprite_path(sprite)) + absolute;
}

/// Becomes curl; returns only if that failed.
Result<int> become_curl(const std::vector<std::string>& words) {
  auto curl = find_program("curl");
  if (!curl) return std::move(curl).error().within("`sprite api` needs curl");
  std::vector<char*> raw;
  for (const std::string& word : words) raw.push_back(const_cast<char*>(word.c_str()));
  raw.push_back(nullptr);
  ::execv(curl->c_str(), raw.data());
  return system_error("cannot run curl");
}

Result<int> call(Context& context, const ApiWords& words) {
  if (words.path.empty()) return Error{Error::Kind::invalid, "api requires a path argument", "sprite api /sprites", {}};
  TRY_LET(const Client* api, context.api());
  TRY_LET(const CurlCall curl, curl_call(api->endpoint(), api->path_prefix(),
                                         full_path(words.path, context.globals.sprite), words.curl_options));
  return become_curl(curl.argv);
}

Result<int> print_environment(Context& context) {
  TRY_LET(const settings::Loaded* loaded, context.settings());
  TRY(ensure_daemon(loaded->values));
  TRY_LET(const auto record, settings::read_daemon_record(loaded->values.runtime_dir));
  if (!record || record->port == 0)
    return Error{Error::Kind::unavailable, "the daemon has not said where it listens", "sprite daemon restart", {}};
  const std::string url = "http://127.0.0.1:" + std::to_string(record->port);
  if (context.globals.json)
    print_json(context.terminal, {{"SPRITES_API_URL", url}, {"SPRITE_TOKEN", record->token}});
  else
    context.terminal.print("export SPRITES_API_URL=" + shell_word(url) +
                           "\nexport SPRITE_TOKEN=" + shell_word(record->token) + "\n");
  return 0;
}

}  // namespace

Action api(Syntax& syntax) {
  auto words = std::make_shared<ApiWords>();
  syntax.positional("PATH", words->path, "Below /v1, or with -s below the sprite", Presence::optional);
  syntax.rest("CURL-OPTIONS", words->curl_options, "Options for curl", Rest::after_dashes);
  syntax.no_json("what the server answers, which is JSON");
  syntax.epilogue("sprite api /sprites\nsprite -s box api /exec -- --request POST --url-query cmd=uname");
  return [words](Context& context) { return call(context, *words); };
}

Action env(Syntax& syntax) {
  syntax.epilogue("For a shell: eval \"$(sprite env)\"");
  return print_environment;
}

}  // namespace sprite::cli::verb
