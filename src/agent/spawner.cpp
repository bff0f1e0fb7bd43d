#include "agent/spawner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "agent/control_groups.h"
#include "agent/launch.h"
#include "agent/process_table.h"
#include "agent/spawner_messages.h"
#include "base/file.h"
#include "base/log.h"

namespace sprite::agent {
namespace {

using Kind = SpawnerMessage::Kind;

class Spawner {
 public:
  Spawner(Fd socket, const SpawnerOptions& options) : socket_(std::move(socket)), options_(options) {}

  Result<> run() {
    TRY(watch_children());
    if (options_.owns_container) divide_container();
    TRY(send({Kind::ready, 0, 0, {}}));
    for (;;) {
      std::array<pollfd, 2> polled{pollfd{socket_.get(), POLLIN, 0}, pollfd{child_signals_.get(), POLLIN, 0}};
      if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return system_error("cannot poll");
      if (polled[1].revents != 0) TRY(reap());
      if (polled[0].revents == 0) continue;
      TRY_LET(auto received, receive_message(socket_.get()));
      if (!received) return {};  // the agent is gone
      TRY(handle(std::move(*received)));
    }
  }

  /// No program outlives the spawner.
  void kill_all() {
    for (const auto& [pid, id] : programs_) signal_session(pid, SIGKILL);
  }

 private:
  Result<> watch_children() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) return system_error("cannot block SIGCHLD");
    child_signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!child_signals_) return system_error("cannot watch for SIGCHLD");
    if (!options_.owns_container && ::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
      return system_error("cannot adopt orphans");
    return {};
  }

  /// So that users' programs (a container engine, for one) can make control groups with limits of their own.
  static void divide_container() {
    const Path groups = "/sys/fs/cgroup";
    if (auto entered = enter_group(groups, "init"); !entered) {
      log::warning("ignoring: {}", log::one_line(entered.error()));
    } else if (auto handed = hand_down_controllers(groups); !handed) {
      log::warning("ignoring: {}", log::one_line(handed.error()));
    }
  }

  Result<> send(const SpawnerMessage& message, std::span<const int> fds = {}) {
    return send_message(socket_.get(), message, fds);
  }

  Result<> handle(ReceivedMessage received) {
    const SpawnerMessage& message = received.message;
    switch (message.kind) {
      case Kind::start: return start(message, received.fds);
      case Kind::signal: return signal(message.id, static_cast<int>(message.number), false);
      case Kind::signal_all: return signal(message.id, static_cast<int>(message.number), true);
      case Kind::terminate: return terminate();
      default: return Error{Error::Kind::corrupt, "the agent sent a message of unknown kind"};
    }
  }

  Result<> start(const SpawnerMessage& message, const std::vector<Fd>& fds) {
    auto launched = launch(message.text, fds);
    if (!launched) return send({Kind::failed, message.id, 0, log::one_line(launched.error())});
    programs_[launched->pid] = message.id;
    const int terminal = launched->terminal.get();
    return send({Kind::started, message.id, launched->pid, {}}, std::span(&terminal, terminal >= 0 ? 1U : 0U));
  }

  Result<Launched> launch(std::string_view text, const std::vector<Fd>& fds) {
    TRY_LET(const Program program, decode_program(text));
    if (!program.terminal && fds.size() != 3)
      return Error{Error::Kind::corrupt, "a program came without its descriptors"};
    TRY_LET(const User user, user_for(program));
    std::array<int, 3> stdio{-1, -1, -1};
    for (std::size_t i = 0; i < fds.size() && i < 3; ++i) stdio[i] = fds[i].get();
    return agent::launch(program, user, stdio);
  }

  Result<User> user_for(const Program& program) {
    const std::string passwd = text_of("/etc/passwd"), group = text_of("/etc/group");
    if (!program.user.empty()) {
      if (auto user = find_user(passwd, group, program.user)) return *user;
      return Error{Error::Kind::not_found, "there is no user called '" + program.user + "'"};
    }
    if (auto user = find_user(passwd, group, options_.default_user)) return *user;
    return find_user(passwd, group, ::geteuid()).value_or(User{});
  }

  static std::string text_of(const Path& path) {
    auto text = read_file(path, 16 * MiB);
    return text ? *std::move(text) : std::string();
  }

  /// Never an error: the program may have ended meanwhile.
  Result<> signal(std::uint64_t id, int number, bool whole_session) {
    for (const auto& [pid, known] : programs_) {
      if (known != id) continue;
      if (whole_session) {
        signal_session(pid, number);
      } else if (::kill(-pid, number) != 0) {
        (void)::kill(pid, number);  // before its setsid()
      }
    }
    return {};
  }

  Result<> terminate() {
    terminating_ = true;
    if (options_.owns_container) {
      (void)::kill(-1, SIGTERM);
    } else {
      for (const auto& [pid, id] : programs_) signal_session(pid, SIGTERM);
    }
    return reap();
  }

  /// Reaps whatever has ended, and tells the agent about its programs.
  Result<> reap() {
    signalfd_siginfo drained{};
    while (::read(child_signals_.get(), &drained, sizeof drained) > 0) {
    }
    int status = 0;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
      const auto program = programs_.find(pid);
      if (program == programs_.end()) continue;
      const std::uint64_t id = program->second;
      programs_.erase(program);
      TRY(send({Kind::ended, id, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), {}}));
    }
    if (terminating_ && pid < 0 && errno == ECHILD) {
      terminating_ = false;
      return send({Kind::terminated, 0, 0, {}});
    }
    return {};
  }

  Fd socket_;
  SpawnerOptions options_;
  Fd child_signals_;
  std::map<pid_t, std::uint64_t> programs_;
  bool terminating_ = false;
};

}  // namespace

int run_spawner(Fd socket, const SpawnerOptions& options) {
  Spawner spawner(std::move(socket), options);
  auto served = spawner.run();
  spawner.kill_all();
  if (served) return 0;
  log::error("the spawner ends: {}", log::one_line(served.error()));
  return 1;
}

}  // namespace sprite::agent
