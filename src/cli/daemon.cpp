// sprite daemon start|stop|restart|status|logs|run
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/daemon_process.h"
#include "cli/follow.h"
#include "settings/daemon_record.h"

namespace sprite::cli::verb {
namespace {

namespace json = boost::json;

constexpr std::size_t log_tail_bytes = 64 * KiB;

Result<int> start_daemon(Context& context) {
  TRY_LET(const settings::Loaded* loaded, context.settings());
  TRY_LET(const bool started, ensure_daemon(loaded->values));
  context.terminal.note(started ? "the daemon is running" : "the daemon was running already");
  return 0;
}

Result<int> end_daemon(Context& context) {
  TRY_LET(const settings::Loaded* loaded, context.settings());
  TRY_LET(const bool stopped, stop_daemon(loaded->values));
  context.terminal.note(stopped ? "the daemon has stopped" : "the daemon was not running");
  return 0;
}

Result<int> restart_daemon(Context& context) {
  TRY_LET(const settings::Loaded* loaded, context.settings());
  TRY(stop_daemon(loaded->values));
  TRY(ensure_daemon(loaded->values));
  context.terminal.note("the daemon is running");
  return 0;
}

/// The value of each member, as a table for people.
void print_members(Terminal& terminal, const json::object& object) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, value] : object) {
    std::string text = value.is_string() ? std::string(value.get_string()) : json::serialize(value);
    if (!text.empty()) rows.push_back({std::string(key) + ":", std::move(text)});
  }
  for (const auto& row : rows)
    terminal.print_line(row[0] + std::string(22 - std::min<std::size_t>(21, row[0].size()), ' ') + row[1]);
}

Result<int> show_status(Context& context) {
  TRY_LET(const settings::Loaded* loaded, context.settings());
  TRY_LET(const auto pid, find_daemon(loaded->values));
  if (!pid) return Error{Error::Kind::unavailable, "the daemon is not running", "sprite daemon start", {}};
  TRY_LET(const Client* api, context.api());
  TRY_LET(const std::string body, api->call("GET", "/v1/daemon"));
  boost::system::error_code failed;
  const json::value value = json::parse(body, failed);
  if (context.globals.json || failed || !value.is_object())
    context.terminal.print_line(trim(body));
  else
    print_members(context.terminal, value.get_object());
  return 0;
}

Result<int> show_log(Context& context, Follow follow) {
  TRY_LET(const settings::Loaded* loaded, context.settings());
  if (follow == Follow::yes) context.terminal.end_with_reader();
  auto printed = print_file(context.terminal, settings::daemon_log(loaded->values.state_dir), log_tail_bytes, follow);
  if (!printed && printed.error().kind == Error::Kind::not_found)
    return Error{Error::Kind::not_found, "there is no log: the daemon has not run yet", "sprite daemon start", {}};
  TRY(std::move(printed));
  return 0;
}

Result<int> run_here(Context& context, const DaemonStart& start) {
  const auto run = [&]() -> Result<> {
    TRY_LET(const settings::Loaded* loaded, context.settings());
    return context.run_daemon(loaded->values, start);
  };
  TRY(run());
  return 0;
}

}  // namespace

Action daemon_start(Syntax&) { return start_daemon; }
Action daemon_stop(Syntax&) { return end_daemon; }
Action daemon_restart(Syntax&) { return restart_daemon; }
Action daemon_status(Syntax&) { return show_status; }

Action daemon_logs(Syntax& syntax) {
  auto follow = std::make_shared<bool>(false);
  syntax.flag("-f,--follow", *follow, "Go on and show what is added");
  syntax.no_json("the daemon's log");
  return [follow](Context& context) { return show_log(context, *follow ? Follow::yes : Follow::no); };
}

Action daemon_run(Syntax& syntax) {
  struct Options {
    bool detached = false;
    std::optional<std::uint64_t> report_fd;
  };
  auto options = std::make_shared<Options>();
  syntax.flag("--detached", options->detached, "Log to the daemon's log file instead of standard error");
  syntax.option("--report", "FD", options->report_fd, "Tell on this descriptor when ready, or why not");
  syntax.no_json("the daemon's log");
  syntax.epilogue(
      "Commands start the daemon when they need it; this is for service managers and for watching it work.");
  return [options](Context& context) {
    return run_here(context, {options->detached, options->report_fd ? static_cast<int>(*options->report_fd) : -1});
  };
}

}  // namespace sprite::cli::verb
