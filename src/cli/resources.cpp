#include "cli/resources.h"

#include <boost/json/serialize.hpp>
#include <chrono>

#include "base/text.h"
#include "cli/outlook.h"
#include "wire/json.h"

namespace sprite::cli {

std::string sprite_path(const std::string& name, const std::string& rest) { return "/v1/sprites/" + name + rest; }

Result<wire::Sprite> get_sprite(Context& context, const std::string& name) {
  TRY_LET(const Client* api, context.api());
  TRY_LET(const std::string body, api->call("GET", sprite_path(name)));
  return wire::from_json<wire::Sprite>(body);
}

Result<std::vector<wire::Sprite>> list_sprites(Context& context, const std::string& prefix) {
  TRY_LET(const Client* api, context.api());
  std::vector<wire::Sprite> all;
  std::string token;
  for (;;) {
    std::string target = "/v1/sprites?max_results=500&prefix=" + http::url_encode(prefix);
    if (!token.empty()) target += "&continuation_token=" + http::url_encode(token);
    TRY_LET(const std::string body, api->call("GET", target));
    TRY_LET(wire::SpriteList page, wire::from_json<wire::SpriteList>(body));
    all.insert(all.end(), std::make_move_iterator(page.sprites.begin()), std::make_move_iterator(page.sprites.end()));
    token = page.next_continuation_token.value_or("");
    if (!page.has_more || token.empty()) return all;
  }
}

std::string styled_status(const Terminal& terminal, const std::string& status) {
  if (status == "running") return terminal.styled(Style::green, status);
  if (status == "warm") return terminal.styled(Style::yellow, status);
  return terminal.styled(Style::dim, status);
}

std::string sleep_outlook(const wire::Sprite& sprite) { return outlook_at(sprite, std::chrono::system_clock::now()); }

std::string age_of(const std::string& time) {
  const auto parsed = parse_time(time);
  if (!parsed) return time;
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - *parsed);
  if (age < std::chrono::seconds(1)) return "now";
  if (age < std::chrono::minutes(1)) return std::to_string(age.count()) + " s ago";
  if (age < std::chrono::hours(1)) return std::to_string(age.count() / 60) + " min ago";
  if (age < std::chrono::hours(48)) return std::to_string(age.count() / 3600) + " h ago";
  return std::to_string(age.count() / 86400) + " days ago";
}

void print_json(Terminal& terminal, const boost::json::value& value) {
  terminal.print_line(boost::json::serialize(value));
}

}  // namespace sprite::cli
