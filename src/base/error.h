#pragma once
/// The one error type. `kind` alone decides exit code, HTTP status and whether to retry (error.cpp has the table).
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sprite {

/// Why an operation failed, in words for the person at the terminal.
struct Error {
  enum class Kind { not_found, exists, busy, invalid, denied, no_space, unavailable, corrupt, internal };

  Kind kind = Kind::internal;
  std::string what{};                  ///< What we could not do: "cannot wake sprite 'api'".
  std::string hint{};                  ///< What to try next; empty when nothing would help.
  std::vector<std::string> because{};  ///< Causes, nearest first.

  Error() = default;
  // Not an aggregate: GCC 12 destroys an aggregate's temporary twice in a full expression with co_await.
  Error(Kind kind_, std::string what_, std::string hint_ = {}, std::vector<std::string> because_ = {})
      : kind(kind_), what(std::move(what_)), hint(std::move(hint_)), because(std::move(because_)) {}

  /// The same failure seen from one level up; kind, hint and causes are kept.
  Error within(std::string doing) &&;
};

/// The error of a failed system call: `what`, with errno's text as cause and a fitting kind (ENOENT: not_found,
/// EEXIST: exists, EACCES and EPERM: denied, ENOSPC and EDQUOT: no_space, EBUSY: busy, else unavailable).
Error system_error(std::string what, int error_number);
/// The same for the current errno.
Error system_error(std::string what);

/// The name of a kind as JSON carries it: "not_found".
std::string_view to_string(Error::Kind kind);
/// The kind of that name, `internal` for an unknown one.
Error::Kind kind_from_string(std::string_view name);

/// How a kind is reported: the process's exit status and the HTTP status.
int exit_status(Error::Kind kind);
int http_status(Error::Kind kind);
/// The kind that an HTTP status of 400 or more stands for.
Error::Kind kind_from_http_status(int status);

/// Several lines for a terminal: "sprite: <what>", "  because <cause>" each, "  try: <hint>".
std::string to_text(const Error& error);

/// Ends the process with a message: for broken invariants only, never for what can happen.
[[noreturn]] void die(std::string_view broken_invariant);

}  // namespace sprite
