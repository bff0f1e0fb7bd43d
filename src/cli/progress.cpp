#include "cli/progress.h"

#include "base/text.h"
#include "cli/interrupt.h"
#include "cli/resources.h"
#include "wire/json.h"

namespace sprite::cli {

Result<wire::Progress> follow_progress(Context& context, const std::string& name, const std::string& route,
                                       std::string body, const std::function<void(const std::string&)>& on_info) {
  TRY_LET(const Client* api, context.api());
  std::string line;
  std::optional<wire::Progress> last;
  http::Request request("POST", sprite_path(name, route), std::move(body));
  const auto take = [&](std::string_view part) {
    for (const char c : part) {
      if (c != '\n') {
        line += c;
        continue;
      }
      if (auto read = wire::from_json<wire::Progress>(line)) last = *std::move(read);
      line.clear();
      if (!last || last->type != "info" || !last->data) continue;
      if (last->data->starts_with("Warning: "))
        context.terminal.note(*last->data);
      else if (on_info)
        on_info(trim(*last->data));
      else
        context.terminal.progress(trim(*last->data));
    }
  };
  {
    const InterruptNote note(
        "sprite: what was asked for goes on in the background\n  try: sprite checkpoint list --include-auto -s " +
        name);
    TRY(api->stream(std::move(request), take));
  }
  context.terminal.progress("");
  if (last && last->type == "complete") return *std::move(last);
  if (last && last->error) {
    const std::string hint = last->data.value_or("");
    return Error{Error::Kind::unavailable, *last->error, hint.starts_with("try: ") ? hint.substr(5) : hint, {}};
  }
  return Error{Error::Kind::unavailable, "the answer ended early", "sprite checkpoint list -s " + name, {}};
}

}  // namespace sprite::cli
