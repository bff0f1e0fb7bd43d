#pragma once
/// The client's end of an exec connection: our standard streams joined to a program in a sprite.
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/client.h"
#include "cli/raw_terminal.h"

namespace sprite::cli {

struct ExecRequest {
  std::string sprite;
  std::vector<std::string> command;      ///< Empty: a login shell.
  std::string session_id;                ///< Not empty: attach to this session; the rest does not count.
  std::string directory;                 ///< Empty: the home directory.
  std::vector<std::string> environment;  ///< "K=V"
  bool tty = false;
  bool detachable = false;
  WindowSize size{};
};

/// "K=v,K2=v2" as the original CLI takes it; a part without '=' belongs to the value before it, so that values may hold
/// commas. Errors: invalid.
Result<std::vector<std::string>> parse_environment(const std::vector<std::string>& texts);

/// Path and query of the request.
std::string exec_target(const ExecRequest& request);

/// What the program's streams are joined to. Descriptors are not owned.
struct ExecStreams {
  int input = 0, output = 1, error = 2;
  bool input_is_terminal = false;  ///< Raw mode and Ctrl+\ for sessions with a terminal.
  /// Called with true when connecting takes its time (the sprite wakes up), then with false.
  std::function<void(bool)> waiting{};
  /// Called once when connecting took longer than it does to a sprite that runs: it may have woken.
  std::function<void()> took_long{};
  /// Called with the error of a connection that was lost, to say in it what became of the sprite.
  std::function<void(Error&)> lost{};
};

struct ExecOutcome {
  int status = 0;         ///< The program's, as a shell says it.
  bool detached = false;  ///< The user left; the session goes on.
  std::string session_id;
};

/// Runs or joins the program and copies bytes until it ends. Input is read only as fast as the connection takes it.
/// Signals that end a program are passed on to it; the third SIGINT ends us. Errors: those of the server, unavailable
/// (connection lost).
Result<ExecOutcome> run_exec(const Client& client, const ExecRequest& request, const ExecStreams& streams);

/// The same over a plain POST: input is sent whole, at most 10 MiB. Returns the program's status. Errors: as
/// run_exec(); invalid (too much input).
Result<int> run_exec_by_post(const Client& client, const ExecRequest& request, const ExecStreams& streams);

}  // namespace sprite::cli
