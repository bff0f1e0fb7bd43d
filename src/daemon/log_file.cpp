#include "daemon/log_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

namespace sprite::daemon {

Result<std::shared_ptr<LogFile>> LogFile::open(Path path, std::uint64_t limit_bytes) {
  TRY(make_directories(path.parent_path()));
  std::shared_ptr<LogFile> log(new LogFile(std::move(path), limit_bytes));
  TRY(log->begin());
  log->rotate_if_large();
  return log;
}

Result<> LogFile::begin() {
  TRY_LET(const Fd file, open_file(path_, O_WRONLY | O_CREAT | O_APPEND));
  for (const int standard : {STDOUT_FILENO, STDERR_FILENO})
    if (::dup2(file.get(), standard) < 0) return system_error("cannot write to '" + path_.string() + "'");
  return {};
}

void LogFile::write(std::string_view line) {
  std::lock_guard hold(mutex_);
  (void)write_all(STDERR_FILENO, as_bytes(line));
  rotate_if_large();
}

void LogFile::rotate_if_large() {
  struct stat info {};
  if (::fstat(STDERR_FILENO, &info) != 0 || static_cast<std::uint64_t>(info.st_size) <= limit_bytes_) return;
  if (std::rename(path_.c_str(), (path_.string() + ".1").c_str()) == 0) (void)begin();  // else the old file goes on
}

}  // namespace sprite::daemon
