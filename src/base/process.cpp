#include "base/process.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/text.h"

namespace sprite {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t output_limit_bytes = 1 * MiB;

std::vector<char*> pointers(const std::vector<std::string>& argv) {
  std::vector<char*> raw;
  for (const std::string& each : argv) raw.push_back(const_cast<char*>(each.c_str()));
  raw.push_back(nullptr);
  return raw;
}

/// In the child: moves the three descriptors to 0, 1 and 2 and becomes the program; reports errno through `report` if
/// it cannot.
[[noreturn]] void become(const Path& program, char* const* argv, std::array<int, 3> stdio, int report) {
  for (int i = 0; i < 3; ++i)
    if (::dup2(stdio[static_cast<std::size_t>(i)], i) < 0) std::_Exit(127);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(program.c_str(), argv);
  const int failure = errno;
  (void)!::write(report, &failure, sizeof failure);
  std::_Exit(127);
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// Appends what is there to `text` (dropping what exceeds the limit); false at the end.
bool drain(int fd, std::string& text) {
  char buffer[16384];
  const ssize_t got = ::read(fd, buffer, sizeof buffer);
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  const std::size_t room = output_limit_bytes - std::min(output_limit_bytes, text.size());
  text.append(buffer, std::min(room, static_cast<std::size_t>(got)));
  return got > 0;
}

Result<> collect(Fd out, Fd err, Finished& finished, Clock::time_point deadline) {
  std::array<pollfd, 2> polled{pollfd{out.get(), POLLIN, 0}, pollfd{err.get(), POLLIN, 0}};
  while (polled[0].fd >= 0 || polled[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return Error{Error::Kind::unavailable, "time is up"};
    if (::poll(polled.data(), polled.size(), static_cast<int>(std::min<std::int64_t>(left, 60000))) < 0 &&
        errno != EINTR)
      return system_error("cannot poll");
    if (polled[0].revents != 0 && !drain(out.get(), finished.out)) polled[0].fd = -1;
    if (polled[1].revents != 0 && !drain(err.get(), finished.err)) polled[1].fd = -1;
  }
  return {};
}

}  // namespace

Result<Path> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), X_OK) == 0) return Path(name);
    return system_error("cannot run '" + name + "'");
  }
  const char* path = std::getenv("PATH");
  std::error_code ignored;
  for (const std::string& folder : split(std::string(path ? path : "/usr/bin:/bin") + ":/usr/sbin:/sbin", ':')) {
    const Path candidate = Path(folder.empty() ? "." : folder) / name;
    if (::access(candidate.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(candidate, ignored))
      return candidate;
  }
  return Error{Error::Kind::not_found, "program '" + name + "' is not installed"};
}

Result<Finished> run_process(const std::vector<std::string>& argv, std::chrono::milliseconds limit,
                             const std::vector<int>& inherit) {
  TRY_LET(const Path program, find_program(argv.at(0)));
  TRY_LET(Pipe out, make_pipe());
  TRY_LET(Pipe err, make_pipe());
  TRY_LET(Pipe report, make_pipe());
  TRY_LET(const Fd null, open_file("/dev/null", O_RDONLY));
  const std::vector<char*> raw = pointers(argv);
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start '" + argv[0] + "'");
  if (pid == 0) {
    for (const int fd : inherit) ::fcntl(fd, F_SETFD, 0);
    become(program, raw.data(), {null.get(), out.write_end.get(), err.write_end.get()}, report.write_end.get());
  }
  out.write_end.reset();
  err.write_end.reset();
  report.write_end.reset();
  Finished finished;
  auto collected = collect(std::move(out.read_end), std::move(err.read_end), finished, Clock::now() + limit);
  if (!collected) ::kill(pid, SIGKILL);
  finished.exit_status = wait_for(pid);
  if (!collected)
    return std::move(collected).error().within("'" + argv[0] + "' did not finish in " + format_duration(limit));
  int failure = 0;
  if (::read(report.read_end.get(), &failure, sizeof failure) == sizeof failure)
    return system_error("cannot run '" + argv[0] + "'", failure);
  return finished;
}

Result<pid_t> start_detached(const std::vector<std::string>& argv, const Path& log, const std::vector<int>& inherit) {
  TRY_LET(const Path program, find_program(argv.at(0)));
  TRY_LET(Pipe report, make_pipe());
  TRY_LET(Pipe started, make_pipe());
  TRY_LET(const Fd null, open_file("/dev/null", O_RDONLY));
  TRY_LET(const Fd output, open_file(log, O_WRONLY | O_CREAT | O_APPEND));
  const std::vector<char*> raw = pointers(argv);
  const pid_t middle = ::fork();
  if (middle < 0) return system_error("cannot start '" + argv[0] + "'");
  if (middle == 0) {  // a second fork, so that the program is not our child and leaves no zombie
    ::setsid();
    const pid_t pid = ::fork();
    if (pid != 0) {
      (void)!::write(started.write_end.get(), &pid, sizeof pid);
      std::_Exit(0);
    }
    for (const int fd : inherit) ::fcntl(fd, F_SETFD, 0);
    become(program, raw.data(), {null.get(), output.get(), output.get()}, report.write_end.get());
  }
  report.write_end.reset();
  started.write_end.reset();
  wait_for(middle);
  pid_t pid = -1;
  if (::read(started.read_end.get(), &pid, sizeof pid) != sizeof pid || pid < 0)
    return Error{Error::Kind::unavailable, "cannot start '" + argv[0] + "'"};
  int failure = 0;  // the pipe closes when the program is running
  if (::read(report.read_end.get(), &failure, sizeof failure) == sizeof failure)
    return system_error("cannot run '" + argv[0] + "'", failure);
  return pid;
}

}  // namespace sprite
