// The program in the VM, in five parts: init (PID 1 of the initramfs: boots, starts the agent, reaps), the agent, the
// spawner (PID 1 of the inner container), sprite-env, which programs in there run, and what reads crontabs.
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "agent/agent.h"
#include "agent/boot.h"
#include "agent/cron.h"
#include "agent/network.h"
#include "agent/spawner.h"
#include "agent/sprite_env.h"
#include "base/log.h"

namespace {

using namespace sprite;

Result<int> boot() {
  TRY(agent::prepare_root());
  ::setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
  TRY_LET(agent::Modules modules, agent::load_needed_modules());
  if (auto network = agent::set_up_network(); !network) log::error("{}", log::one_line(network.error()));
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start the agent");
  if (pid == 0) std::_Exit(agent::run_agent(std::move(modules)));
  int status = 0;
  for (pid_t ended = 0; ended != pid;) ended = ::waitpid(-1, &status, 0);
  return status;
}

/// PID 1 must not return: whatever went wrong is said on the console, and the machine ends.
[[noreturn]] void init() {
  const auto status = boot();
  if (status) {
    log::error("the agent ended (wait status {}): the machine ends", *status);
  } else {
    log::error("the machine cannot start: {}", log::one_line(status.error()));
  }
  ::sync();
  ::reboot(RB_POWER_OFF);
  std::abort();
}

/// Keeps the socket and nothing else of what crun left open.
int spawner(int socket) {
  const auto fd = static_cast<unsigned>(socket);
  if (socket < 3) return 2;
  if (socket > 3) (void)::close_range(3, fd - 1, 0);
  (void)::close_range(fd + 1, ~0U, 0);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int i = 0; i < 3; ++i) (void)::dup2(null, i);
  ::close(null);
  return agent::run_spawner(Fd(socket), agent::SpawnerOptions{"sprite", ::getpid() == 1});
}

int usage() {
  fmt::print(stderr,
             "usage: sprite-agent                     as PID 1 of a VM\n"
             "       sprite-agent spawner FD          as PID 1 of its inner container\n"
             "       sprite-agent cron-runs ROOT      when the jobs of crontabs in ROOT are due\n"
             "       sprite-agent --listen unix:PATH --no-container\n");
  return 2;
}

}  // namespace

int main(int count, char** arguments) {
  if (count > 0 && std::string_view(arguments[0]).ends_with("sprite-env"))
    return agent::run_sprite_env({arguments + 1, arguments + count});
  const std::vector<std::string_view> words(arguments, arguments + count);
  if (words.size() == 3 && words[1] == "spawner") return spawner(std::atoi(arguments[2]));
  if (words.size() == 3 && words[1] == "cron-runs") return agent::print_cron_runs(arguments[2]);
  if (words.size() == 4 && words[1] == "--listen" && words[2].starts_with("unix:") && words[3] == "--no-container")
    return agent::run_plain_agent(words[2].substr(5));
  if (::getpid() == 1) init();
  return usage();
}
