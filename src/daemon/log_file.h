#pragma once
/// The daemon's log file, which never grows beyond twice its limit.
#include <memory>
#include <mutex>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

namespace sprite::daemon {

/// Standard error (and output) becomes the file, so that what libraries print lands there, too. When it exceeds the
/// limit it is renamed to `<name>.1`, replacing the last one, and a new file is begun. Safe from several threads.
class LogFile {
 public:
  /// Errors: as system_error.
  static Result<std::shared_ptr<LogFile>> open(Path path, std::uint64_t limit_bytes);
  /// Appends a line. A full disk loses it: there is nowhere left to say so.
  void write(std::string_view line);

 private:
  LogFile(Path path, std::uint64_t limit_bytes) : path_(std::move(path)), limit_bytes_(limit_bytes) {}
  Result<> begin();
  void rotate_if_large();

  Path path_;
  std::uint64_t limit_bytes_;
  std::mutex mutex_;
};

}  // namespace sprite::daemon
