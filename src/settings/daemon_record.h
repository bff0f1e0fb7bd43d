#pragma once
/// What the daemon leaves in its runtime directory for the CLI to find it, and what it tells whoever started it.
#include <cstdint>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace sprite::settings {

Path daemon_socket(const Path& runtime_dir);
Path daemon_lock(const Path& runtime_dir);
Path daemon_log(const Path& state_dir);

/// `<runtime>/daemon.json`, mode 0600. It stays when the daemon ends: the next one takes the same port and token, so
/// that addresses handed out remain good.
struct DaemonRecord {
  std::int64_t pid = 0;
  std::uint16_t port = 0;
  std::string token;
  std::string version;
};

/// Nothing when there is none, or it is not readable as one. Errors: denied.
Result<std::optional<DaemonRecord>> read_daemon_record(const Path& runtime_dir);
/// Errors: as system_error.
Result<> write_daemon_record(const Path& runtime_dir, const DaemonRecord& record);

/// The report a starting daemon writes into a pipe: empty text for "ready", else its error, kept whole.
std::string encode_startup_report(const Result<>& outcome);
/// Errors: the one reported; unavailable when the text is no report (the daemon died before it could write one).
Result<> decode_startup_report(const std::string& text);

}  // namespace sprite::settings
