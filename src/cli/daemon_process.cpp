#include "cli/daemon_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/process.h"
#include "base/text.h"
#include "base/unix_socket.h"
#include "settings/daemon_record.h"

namespace sprite::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto start_limit = 30s;
constexpr auto stop_limit = 10s;  ///< Twice what the daemon allows itself.

Error squatted(const Path& path) {
  return Error{Error::Kind::denied,
               "'" + path.string() + "' belongs to another user",
               "set another runtime_dir: `sprite config set runtime_dir PATH`",
               {}};
}

/// Nobody else may have made the directory that our socket is looked up in.
Result<> check_owner(const Path& runtime_dir) {
  struct stat info {};
  if (::lstat(runtime_dir.c_str(), &info) != 0) return {};  // the daemon will make it
  if (info.st_uid != ::geteuid()) return squatted(runtime_dir);
  return make_private_directory(runtime_dir);
}

int milliseconds_until(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

/// Everything written into the pipe until its other end is closed. Errors: unavailable (time is up).
Result<std::string> read_report(const Fd& pipe, Clock::time_point deadline) {
  std::string text;
  for (;;) {
    pollfd polled{pipe.get(), POLLIN, 0};
    const int ready = ::poll(&polled, 1, milliseconds_until(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return Error{Error::Kind::unavailable, "the daemon was not ready in 30 s"};
    char buffer[4096];
    const ssize_t got = ::read(pipe.get(), buffer, sizeof buffer);
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

Result<> start_daemon(const settings::Settings& settings) {
  TRY(make_directories(settings.state_dir));
  TRY_LET(Pipe report, make_pipe());
  std::error_code failed;
  const Path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (failed) return system_error("cannot find our own program", failed.value());
  const std::string report_fd = std::to_string(report.write_end.get());
  TRY(start_detached({self.string(), "daemon", "run", "--detached", "--report=" + report_fd},
                     settings::daemon_log(settings.state_dir), {report.write_end.get()}));
  report.write_end.reset();
  TRY_LET(const std::string text, read_report(report.read_end, Clock::now() + start_limit));
  return settings::decode_startup_report(text);
}

/// Another process holds the daemon's lock: one of ours was quicker in starting a daemon, or a killed one is not gone
/// yet.
Result<> wait_for_other(const settings::Settings& settings) {
  const auto deadline = Clock::now() + start_limit;
  while (Clock::now() < deadline) {
    std::this_thread::sleep_for(50ms);
    TRY_LET(const auto pid, find_daemon(settings));
    if (pid) return {};
    auto started = start_daemon(settings);
    if (started || started.error().kind != Error::Kind::busy) return started;
  }
  return Error{Error::Kind::unavailable, "a daemon is running but does not answer", "sprite daemon restart", {}};
}

/// Whether a process was killed and is only not gone yet: its socket still accepts, and nobody will ever answer.
bool is_ending(pid_t pid) {
  constexpr unsigned long exiting = 0x4, kill_pending = 1UL << (SIGKILL - 1);
  const Path folder = Path("/proc") / std::to_string(pid);
  const auto stat = read_file(folder / "stat"), status = read_file(folder / "status");
  if (!stat || !status) return true;
  const std::vector<std::string> fields = split(stat->substr(std::min(stat->size(), stat->rfind(')') + 2)), ' ');
  if (fields.size() > 6 && (std::strtoul(fields[6].c_str(), nullptr, 10) & exiting) != 0) return true;
  for (const std::string& line : split(*status, '\n'))
    if ((line.starts_with("SigPnd:") || line.starts_with("ShdPnd:")) &&
        (std::strtoul(line.c_str() + 7, nullptr, 16) & kill_pending) != 0)
      return true;
  return false;
}

void wait_until_gone(pid_t pid) {
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  pollfd polled{process.get(), POLLIN, 0};
  if (process) ::poll(&polled, 1, milliseconds_until(Clock::now() + stop_limit));
}

}  // namespace

Result<std::optional<pid_t>> find_daemon(const settings::Settings& settings) {
  TRY(check_owner(settings.runtime_dir));
  const Path path = settings::daemon_socket(settings.runtime_dir);
  const auto socket = connect_unix(path, Blocking::yes);
  if (!socket) {
    const Error::Kind kind = socket.error().kind;
    if (kind == Error::Kind::not_found || kind == Error::Kind::unavailable) return std::optional<pid_t>{};
    return socket.error();
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket->get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
    return system_error("cannot identify the daemon");
  if (peer.uid != ::geteuid()) return squatted(path);
  if (is_ending(peer.pid)) {
    wait_until_gone(peer.pid);
    return std::optional<pid_t>{};
  }
  return std::optional<pid_t>(peer.pid);
}

Result<bool> ensure_daemon(const settings::Settings& settings) {
  TRY_LET(const auto pid, find_daemon(settings));
  if (pid) return false;
  auto started = start_daemon(settings);
  if (!started && started.error().kind == Error::Kind::busy) started = wait_for_other(settings);
  if (started) return true;
  Error error = std::move(started).error().within("cannot start the daemon");
  if (error.hint.empty()) error.hint = "sprite doctor, or read the log: sprite daemon logs";
  return error;
}

Result<bool> stop_daemon(const settings::Settings& settings) {
  TRY_LET(const auto pid, find_daemon(settings));
  if (!pid) return false;
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  if (!process && errno == ESRCH) return true;
  if (!process) return system_error("cannot watch the daemon");
  if (::kill(*pid, SIGTERM) != 0 && errno != ESRCH) return system_error("cannot end the daemon");
  const auto deadline = Clock::now() + stop_limit;
  pollfd polled{process.get(), POLLIN, 0};
  while (::poll(&polled, 1, milliseconds_until(deadline)) <= 0)
    if (Clock::now() >= deadline)
      return Error{Error::Kind::unavailable,
                   "the daemon (process " + std::to_string(*pid) + ") did not end in 10 s",
                   "kill -9 " + std::to_string(*pid) + "; sprites that run stay unharmed",
                   {}};
  return true;
}

}  // namespace sprite::cli
