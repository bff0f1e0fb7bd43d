#include "agent/launch.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace sprite::agent {
namespace {

constexpr gid_t tty_group = 5;

std::vector<char*> pointers(const std::vector<std::string>& list) {
  std::vector<char*> raw;
  raw.reserve(list.size() + 1);
  for (const std::string& each : list) raw.push_back(const_cast<char*>(each.c_str()));
  raw.push_back(nullptr);
  return raw;
}

struct Terminal {
  Fd master, slave;
};

Result<Terminal> open_terminal(const Program& program, const User& user) {
  Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!master || ::grantpt(master.get()) != 0 || ::unlockpt(master.get()) != 0)
    return system_error("cannot make a terminal");
  std::array<char, 64> name{};
  if (::ptsname_r(master.get(), name.data(), name.size()) != 0) return system_error("cannot name a terminal");
  TRY_LET(Fd slave, open_file(name.data(), O_RDWR | O_NOCTTY));
  const winsize size{program.rows, program.columns, 0, 0};
  (void)::ioctl(master.get(), TIOCSWINSZ, &size);
  if (::fchown(slave.get(), user.uid, tty_group) == 0) (void)::fchmod(slave.get(), 0620);
  return Terminal{std::move(master), std::move(slave)};
}

/// Only for the child: says why on its standard error and ends.
[[noreturn]] void give_up(int status, const std::string& subject, const char* reason) {
  const std::string line = subject + ": " + reason + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
  std::_Exit(status);
}

/// Blocks every signal while it lives.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t all;
    sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsHeld() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(SignalsHeld&&) = delete;

 private:
  sigset_t before_{};
};

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// The spawner is spared when memory runs out; what it starts is not.
void become_killable() {
  const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (file >= 0) (void)!::write(file, "0", 1);
  if (file >= 0) ::close(file);
}

void become_user(const User& user) {
  if (::geteuid() == user.uid && user.uid != 0) return;
  std::vector<gid_t> groups = user.groups;
  groups.push_back(user.gid);
  if (::setgroups(groups.size(), groups.data()) != 0 || ::setgid(user.gid) != 0 || ::setuid(user.uid) != 0)
    give_up(1, user.name, std::strerror(errno));
}

void enter_directory(const Program& program, const User& user) {
  const std::string directory = program.directory.empty() ? user.home : program.directory;
  if (::chdir(directory.c_str()) == 0) return;
  const int failure = errno;
  if (program.directory.empty() && ::chdir("/") == 0) return;  // a user without a home still gets a shell
  give_up(1, directory, std::strerror(failure));
}

[[noreturn]] void execute(const std::string& file, char* const* argv, char* const* environment) {
  environ = const_cast<char**>(environment);  // where execvp finds the PATH to search
  ::execvp(file.c_str(), argv);
  if (errno == ENOENT)
    give_up(127, file, file.find('/') == std::string::npos ? "command not found" : "No such file or directory");
  give_up(errno == ENOTDIR ? 127 : 126, file, std::strerror(errno));
}

}  // namespace

std::vector<std::string> environment_for(const Program& program, const User& user) {
  std::vector<std::string> environment = {
      "HOME=" + user.home,
      "USER=" + user.name,
      "LOGNAME=" + user.name,
      "SHELL=" + user.shell,
      "PATH=" + user.home + "/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/.sprite/bin",
      "LANG=C.UTF-8",
  };
  if (program.terminal) environment.emplace_back("TERM=xterm-256color");
  for (const std::string& assignment : program.environment) {
    const std::string key = assignment.substr(0, assignment.find('=') + 1);
    if (key.size() < 2) continue;  // no "=", or nothing before it
    std::erase_if(environment, [&](const std::string& earlier) { return earlier.starts_with(key); });
    environment.push_back(assignment);
  }
  return environment;
}

Result<Launched> launch(const Program& program, const User& user, std::array<int, 3> stdio) {
  Terminal terminal;
  if (program.terminal) {
    TRY_LET(terminal, open_terminal(program, user));
    stdio.fill(terminal.slave.get());
  }
  const bool login_shell = program.argv.empty() && program.path.empty();
  std::vector<std::string> argv = program.argv;
  if (argv.empty()) argv.push_back(login_shell ? "-" + Path(user.shell).filename().string() : program.path);
  const std::string file = login_shell ? user.shell : program.path.empty() ? argv[0] : program.path;
  const std::vector<std::string> environment = environment_for(program, user);
  const std::vector<char*> raw_argv = pointers(argv);
  const std::vector<char*> raw_environment = pointers(environment);

  // A signal sent to the program too early waits until it has nothing of ours left.
  const SignalsHeld held;
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start '" + file + "'");
  if (pid > 0) return Launched{pid, std::move(terminal.master)};

  ::setsid();
  for (int i = 0; i < 3; ++i)
    if (::dup2(stdio[static_cast<std::size_t>(i)], i) < 0) std::_Exit(1);
  if (program.terminal) (void)::ioctl(STDIN_FILENO, TIOCSCTTY, 0);
  (void)::close_range(3, ~0U, 0);
  (void)::prctl(PR_SET_PDEATHSIG, 0);
  reset_signals();
  ::umask(022);
  become_killable();
  become_user(user);
  enter_directory(program, user);
  execute(file, raw_argv.data(), raw_environment.data());
}

}  // namespace sprite::agent
