#include "machine_rig.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <regex>

#include "base/text.h"

using namespace std::chrono_literals;

namespace sprite::test {
namespace {

Path newest_kernel() {
  std::vector<Path> kernels;
  for (const auto& entry : std::filesystem::directory_iterator("/boot"))
    if (entry.path().filename().string().ends_with("-cloud-amd64") &&
        entry.path().filename().string().starts_with("vmlinuz-"))
      kernels.push_back(entry.path());
  REQUIRE_MESSAGE(!kernels.empty(), "no kernel in /boot: run `make deps` (linux-image-cloud-amd64)");
  return *std::max_element(kernels.begin(), kernels.end());
}

Fd connect_to(const Path& socket) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  socket.string().copy(name.sun_path, sizeof name.sun_path - 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) return Fd();
  return fd;
}

}  // namespace

DiskServer::DiskServer(const Path& directory) : directory_(directory) {
  const Fd image = *open_file(directory_ / "disk.img", O_RDWR | O_CREAT);
  REQUIRE(::ftruncate(image.get(), 64 * MiB) == 0);
  fail(false);
  start();
}

/// A child of ours, so that it is known how it ends; in a session of its own.
pid_t DiskServer::spawn() const {
  const Path socket = directory_ / "disk.sock", log = directory_ / "nbdkit.log";
  std::filesystem::remove(socket);
  std::vector<std::string> command{"nbdkit",
                                   "--foreground",
                                   "--filter=error",
                                   "--unix",
                                   socket,
                                   "file",
                                   directory_ / "disk.img",
                                   "error-pwrite=ENOSPC",
                                   "error-pwrite-rate=100%",
                                   "error-pwrite-file=" + (directory_ / "disk.fails").string()};
  std::vector<char*> argv;
  for (std::string& each : command) argv.push_back(each.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files{};
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::posix_spawn_file_actions_adddup2(&files, 1, 2);
  posix_spawnattr_t how{};
  ::posix_spawnattr_init(&how);
  ::posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSID);
  pid_t process = -1;
  const int failure = ::posix_spawnp(&process, "nbdkit", &files, &how, argv.data(), environ);
  ::posix_spawnattr_destroy(&how);
  ::posix_spawn_file_actions_destroy(&files);
  return failure == 0 ? process : -1;
}

void DiskServer::supervise() {
  constexpr int restarts_max = 3;
  for (pid_t process = running_.with([](Running& now) { return now.process; }); process > 0;) {
    int status = 0;
    while (::waitpid(process, &status, 0) < 0 && errno == EINTR) {
    }
    process = running_.with([&](Running& now) {
      if (now.process < 0) return now.process;
      std::fprintf(stderr, "nbdkit ended by itself (%s %d), and is started again\n",
                   WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
      return now.process = now.restarts++ < restarts_max ? spawn() : -1;
    });
  }
}

void DiskServer::start() {
  const pid_t process = spawn();
  REQUIRE_MESSAGE(process > 0, "no nbdkit: run `make deps`");
  running_.with([&](Running& now) { now = {process, 0}; });
  supervisor_ = std::thread([this] { supervise(); });
  // Making a socket waits for the file system, which a disk that others write to can hold back for long.
  const bool serves = eventually([&] { return static_cast<bool>(connect_to(directory_ / "disk.sock")); }, 60s);
  const auto words = read_file(directory_ / "nbdkit.log");
  INFO("nbdkit said: ", words ? *words : to_text(words.error()));
  REQUIRE(serves);
}

void DiskServer::kill() {
  running_.with([](Running& now) {
    if (now.process > 0) ::kill(now.process, SIGKILL);
    now.process = -1;
  });
  if (supervisor_.joinable()) supervisor_.join();
}

void DiskServer::fail(bool on) {
  if (on) (void)open_file(directory_ / "disk.fails", O_WRONLY | O_CREAT);
  if (!on) std::filesystem::remove(directory_ / "disk.fails");
}

LoopbackService::LoopbackService() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  auto* address = reinterpret_cast<sockaddr*>(&name);
  REQUIRE(::bind(socket_.get(), address, size) == 0);
  REQUIRE(::listen(socket_.get(), 5) == 0);
  REQUIRE(::getsockname(socket_.get(), address, &size) == 0);
  port_ = ntohs(name.sin_port);
}

bool LoopbackService::was_called() const {
  pollfd waiting{socket_.get(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

Rig& Rig::instance() {
  static Rig rig;
  return rig;
}

Rig::Rig() {
  if (const char* given = std::getenv("SPRITE_TEST_RIG")) {  // a child of this program: see machine_test.cpp
    directory_ = given;
    root_ = directory_ / "child";
    return;
  }
  std::string pattern = "/tmp/sprite-vm-XXXXXX";
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  directory_ = pattern;
  root_ = directory_ / "libvirt";
  const auto made = run_process({"sh", SPRITE_SOURCE_DIR "/tests/support/tiny_guest.sh", directory_ / "guest.img"});
  REQUIRE(made);
  REQUIRE_MESSAGE(made->exit_status == 0, made->err);
}

Rig::~Rig() {
  hypervisor_.reset();
  std::error_code ignored;
  if (!std::getenv("SPRITE_TEST_RIG")) std::filesystem::remove_all(directory_, ignored);
}

vm::Hypervisor* Rig::open() {
  if (!hypervisor_) {
    auto opened =
        vm::open_libvirt({.uri = {}, .directory = root_, .short_name = {}, .accelerator = {}, .on_notice = {}});
    REQUIRE_MESSAGE(opened, (opened ? "" : to_text(opened.error())));
    hypervisor_ = std::move(*opened);
  }
  return hypervisor_.get();
}

vm::MachineSpec Rig::spec(unsigned number) const {
  vm::MachineSpec spec;
  spec.id = fmt::format("{:08x}-0000-4000-8000-0123456789ab", number);
  spec.hostname = fmt::format("box{}", number);
  spec.kernel = newest_kernel();
  spec.initramfs = directory_ / "guest.img";
  spec.kernel_arguments = "console=ttyS0 quiet panic=-1 tsc=reliable no_timer_check";
  spec.memory_bytes = 128 * MiB;
  spec.vcpus = 1;
  spec.runtime_directory = directory_ / fmt::format("vm{}", number);
  spec.memory_file = "/dev/shm/" + directory_.filename().string() + fmt::format("-{}.ram", number);
  spec.disk_socket = directory_ / "disk.sock";
  spec.channel_socket = spec.runtime_directory / "channel.sock";
  spec.console_log = spec.runtime_directory / "console.log";
  spec.mac_address = fmt::format("52:54:00:00:00:{:02x}", number);
  return spec;
}

int Rig::run_child(const std::string& test_case) {
  const auto child =
      run_process({"env", "ASAN_OPTIONS=detect_leaks=0",  // libvirt loses a few bytes when it refuses to open
                   "SPRITE_TEST_RIG=" + directory_.string(), std::filesystem::read_symlink("/proc/self/exe"),
                   "--no-skip", "--test-case=" + test_case},
                  std::chrono::seconds(120));
  REQUIRE(child);
  if (child->exit_status == 1) MESSAGE(child->out);
  REQUIRE_FALSE(std::regex_search(child->out, std::regex("test cases: +0 ")));  // doctest is content with none
  return child->exit_status;
}

std::optional<std::string> Rig::run(const vm::MachineSpec& spec, const std::string& line, std::chrono::seconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  const Fd channel = connect_to(spec.channel_socket);
  if (!channel || !write_all(channel.get(), as_bytes(line + "\n"))) return std::nullopt;
  std::string output;
  while (output.find("<done ") == std::string::npos || !output.ends_with(">\n")) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{channel.get(), POLLIN, 0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return std::nullopt;
    char buffer[4096];
    const ssize_t got = ::read(channel.get(), buffer, sizeof buffer);
    if (got <= 0) return std::nullopt;
    output.append(buffer, static_cast<std::size_t>(got));
  }
  return output;
}

}  // namespace sprite::test
