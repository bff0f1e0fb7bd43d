#pragma once
/// What several verbs ask the API for.
#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "cli/context.h"
#include "wire/types.h"

namespace sprite::cli {

/// "/v1/sprites/<name>" and `rest`.
std::string sprite_path(const std::string& name, const std::string& rest = "");

/// Errors: not_found, those of Client::call().
Result<wire::Sprite> get_sprite(Context& context, const std::string& name);
/// All of them, sorted by name. Errors: those of Client::call().
Result<std::vector<wire::Sprite>> list_sprites(Context& context, const std::string& prefix = "");

/// "running" and the like, coloured.
std::string styled_status(const Terminal& terminal, const std::string& status);
/// Why it does not sleep, or what it becomes by itself and when: "paused in 12 s"; may be empty.
std::string sleep_outlook(const wire::Sprite& sprite);
/// "5 min ago" of an RFC 3339 time; the text itself if it is none.
std::string age_of(const std::string& time);

/// Data for programs.
void print_json(Terminal& terminal, const boost::json::value& value);

/// The user's shell in a sprite, on our terminal. Returns the exit status. Errors: as run_exec().
Result<int> open_console(Context& context, const std::string& name);
/// Joins a session. Returns the exit status. Errors: not_found, as run_exec().
Result<int> attach_session(Context& context, const std::string& name, const std::string& id);

}  // namespace sprite::cli
