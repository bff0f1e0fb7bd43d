#include "agent/container.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "agent/control_groups.h"
#include "agent/network.h"
#include "agent/oci_config.h"
#include "agent/spawner_messages.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

namespace sprite::agent {
namespace {

constexpr auto name = "inner";
const Path bundle = "/run/inner";
const Path state = "/run/crun/inner";
const Path spawner_pid = bundle / "spawner.pid";

std::vector<std::string> crun(std::vector<std::string> arguments) {
  std::vector<std::string> argv = {"crun", "--root", "/run/crun", "--cgroup-manager", "cgroupfs"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return argv;
}

Result<bool> is_empty() {
  TRY_LET(const std::string events, read_file(container_group / "cgroup.events", 4096));
  return events.find("populated 0") != std::string::npos;
}

/// What crun wrote down of the first process.
Result<Fd> spawner_of(const Path& pid_file) {
  TRY_LET(const std::string text, read_file(pid_file, 64));
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, std::atoi(text.c_str()), 0)));
  if (!process) return system_error("cannot find the spawner of the inner container");
  return process;
}

Result<> run_crun(int spawner_socket) {
  // crun passes on every descriptor up to this one that is not close-on-exec: only ours.
  const std::string preserved = "--preserve-fds=" + std::to_string(spawner_socket - 2);
  TRY_LET(const Finished run, run_process(crun({"run", "--detach", preserved, "--pid-file", spawner_pid.string(),
                                                "--bundle", bundle.string(), name}),
                                          std::chrono::seconds(30), {spawner_socket}));
  if (run.exit_status != 0)
    return Error{Error::Kind::unavailable, "cannot start the inner container", "", {"crun: " + trim(run.err)}};
  return {};
}

}  // namespace

Result<> kill_container() {
  if (::access(container_group.c_str(), F_OK) != 0) return {};
  TRY_LET(const Fd kill, open_file(container_group / "cgroup.kill", O_WRONLY));
  TRY(write_all(kill.get(), as_bytes("1")));
  for (int attempt = 0; attempt < 500; ++attempt) {
    TRY_LET(const bool empty, is_empty());
    if (empty) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return Error{Error::Kind::unavailable, "some programs of the inner container cannot be killed"};
}

Result<> set_container_frozen(bool frozen) {
  if (::access(container_group.c_str(), F_OK) != 0) return {};
  TRY_LET(const Fd freeze, open_file(container_group / "cgroup.freeze", O_WRONLY));
  return write_all(freeze.get(), as_bytes(frozen ? "1" : "0"));
}

Result<InnerContainer> start_container() {
  if (::access(state.c_str(), F_OK) == 0) {
    // What `crun delete` does, less the start of a program: a restore waits for this.
    TRY(kill_container());
    TRY(remove_group(container_group));
    TRY(remove_tree(state));
  }
  TRY_LET(Fd network, make_inner_network());
  TRY_LET(auto sockets, make_message_sockets());
  ContainerOptions options;
  options.network_namespace = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(network.get());
  options.spawner_socket = sockets.second.get();
  TRY(make_directories(bundle));
  TRY(write_file_atomically(bundle / "config.json", oci_config(options)));
  TRY(run_crun(sockets.second.get()));
  TRY_LET(Fd spawner, spawner_of(spawner_pid));
  return InnerContainer{std::move(sockets.first), std::move(spawner), std::move(network)};
}

}  // namespace sprite::agent
