#pragma once
/// Context: what a verb works with, each part made when first asked for, so that a verb pays only for what it uses.
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cli/client.h"
#include "cli/syntax.h"
#include "cli/terminal.h"
#include "settings/settings.h"

namespace sprite::cli {

/// How `sprite daemon run` was started.
struct DaemonStart {
  bool detached = false;  ///< Log to the log file instead of standard error.
  int report_fd = -1;     ///< Where to tell that it is ready, or why not: settings/daemon_record.h.
};
/// The daemon, from main.cpp: cli/ does not know it. Returns when it was told to stop.
using RunDaemon = std::function<Result<>(const settings::Settings&, const DaemonStart&)>;

class Context {
 public:
  Context(const Globals& options, Terminal& to, const RunDaemon& daemon)
      : globals(options), terminal(to), run_daemon(daemon) {}

  const Globals& globals;
  Terminal& terminal;
  const RunDaemon& run_daemon;

  /// Errors: invalid, denied.
  Result<const settings::Loaded*> settings();
  /// The API: of the server that SPRITE_URL or SPRITES_API_URL names, else of our daemon, which is started when needed.
  /// Errors: those of ensure_daemon(); invalid (an address we cannot use).
  Result<const Client*> api();
  /// What was named: `given` (an argument), else with -s; may be empty. Errors: invalid (two that differ).
  Result<std::string> named(const std::string& given) const;
  /// The sprite meant: `given` (an argument), else -s, else the one in .sprite. Errors: as named(); also
  /// invalid (none, or no name).
  Result<std::string> sprite(const std::string& given = "");

 private:
  std::optional<settings::Loaded> settings_;
  std::optional<Client> api_;
};

/// The server that the environment names instead of our daemon. Errors: invalid.
Result<std::optional<Client>> client_from_environment(
    const settings::Environment& environment = settings::process_environment);

}  // namespace sprite::cli
