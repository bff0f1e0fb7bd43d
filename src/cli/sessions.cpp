// sprite sessions list|attach|kill
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "cli/commands.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

namespace json = boost::json;

Result<std::vector<wire::Session>> sessions_of(Context& context, const std::string& name) {
  TRY_LET(const Client* api, context.api());
  TRY_LET(const std::string body, api->call("GET", sprite_path(name, "/exec")));
  TRY_LET(wire::SessionList list, wire::from_json<wire::SessionList>(body));
  return std::move(list.sessions);
}

Result<int> show_sessions(Context& context) {
  TRY_LET(const std::string name, context.sprite());
  TRY_LET(const auto sessions, sessions_of(context, name));
  Terminal& terminal = context.terminal;
  if (context.globals.json) {
    json::array all;
    for (const wire::Session& session : sessions) all.push_back(wire::to_value(session));
    print_json(terminal, all);
    return 0;
  }
  if (sessions.empty() && terminal.output_is_terminal()) terminal.note("no sessions");
  std::vector<std::vector<std::string>> rows;
  for (const wire::Session& session : sessions)
    rows.push_back({session.id, session.is_active ? "active" : "idle", session.tty ? "tty" : "-",
                    age_of(session.created), session.command});
  if (!rows.empty()) terminal.print_table({"ID", "STATE", "TTY", "STARTED", "COMMAND"}, rows);
  return 0;
}

Result<int> attach(Context& context, std::string id) {
  TRY_LET(const std::string name, context.sprite());
  if (id.empty()) {
    TRY_LET(auto sessions, sessions_of(context, name));
    std::erase_if(sessions, [](const wire::Session& session) { return !session.tty; });
    if (sessions.size() != 1)
      return Error{
          Error::Kind::invalid,
          "sprite '" + name + "' has " + std::to_string(sessions.size()) + " sessions with a terminal: which one?",
          "sprite -s " + name + " sessions list",
          {}};
    id = sessions[0].id;
  }
  return attach_session(context, name, id);
}

std::string text_of(const json::object& event, std::string_view key) {
  const json::value* value = event.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

Result<int> kill(Context& context, const std::string& id, const std::string& signal) {
  TRY_LET(const std::string name, context.sprite());
  TRY_LET(const Client* api, context.api());
  const std::string target =
      sprite_path(name, "/exec/" + http::url_encode(id) + "/kill?signal=" + http::url_encode(signal));
  TRY_LET(const std::string body, api->call("POST", target));
  if (context.globals.json) {
    context.terminal.print(harmless(body));
    return 0;
  }
  std::string line, failure;
  for (std::size_t at = 0; at < body.size(); at += line.size() + 1) {
    line = body.substr(at, body.find('\n', at) - at);
    boost::system::error_code malformed;
    const json::value event = json::parse(line, malformed);
    if (malformed || !event.is_object()) continue;
    if (text_of(event.get_object(), "type") == "error") failure = text_of(event.get_object(), "message");
  }
  if (!failure.empty()) return Error{Error::Kind::unavailable, "cannot end session '" + id + "'", "", {failure}};
  context.terminal.note("session '" + id + "' has ended");
  return 0;
}

}  // namespace

Action sessions_list(Syntax&) { return show_sessions; }

Action sessions_attach(Syntax& syntax) {
  auto id = std::make_shared<std::string>();
  syntax.positional("ID", *id, "The session; may be left out when one only has a terminal", Presence::optional);
  syntax.no_json("what the session prints");
  syntax.epilogue("Ctrl+\\ leaves again.");
  return [id](Context& context) { return attach(context, *id); };
}

Action sessions_kill(Syntax& syntax) {
  struct Options {
    std::string id, signal = "SIGTERM";
  };
  auto options = std::make_shared<Options>();
  syntax.positional("ID", options->id, "The session");
  syntax.option("--signal", "NAME", options->signal, "The first signal to send; SIGTERM if left out");
  return [options](Context& context) { return kill(context, options->id, options->signal); };
}

}  // namespace sprite::cli::verb
