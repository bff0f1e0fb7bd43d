#pragma once
/// A place for real machines: libvirt's root, a disk server, a tiny guest that runs what it is told
/// (tests/support/tiny_guest.sh).
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "base/locked.h"
#include "base/process.h"
#include "vm/libvirt.h"

namespace sprite::test {

/// A running nbdkit with a file behind it; writes fail with ENOSPC while fail() is on. Killed when destroyed. One that
/// ends by itself, as has been seen on busy machines, is started again, and how it ended is said.
class DiskServer {
 public:
  explicit DiskServer(const Path& directory);
  ~DiskServer() { kill(); }
  DiskServer(DiskServer&&) = delete;
  void start();
  void kill();
  void fail(bool on);

 private:
  struct Running {
    pid_t process = -1;  ///< -1: none is wanted.
    int restarts = 0;
  };
  pid_t spawn() const;
  void supervise();

  Path directory_;
  Locked<Running> running_;
  std::thread supervisor_;
};

/// Listens on a port of 127.0.0.1 and answers nobody.
class LoopbackService {
 public:
  LoopbackService();
  int port() const { return port_; }
  bool was_called() const;

 private:
  Fd socket_;
  int port_ = 0;
};

/// Directories are kept for the whole program: libvirt probes QEMU once for each root.
class Rig {
 public:
  static Rig& instance();
  /// The program's one hypervisor: a process can open libvirt about twenty times in its life.
  vm::Hypervisor* open();
  vm::MachineSpec spec(unsigned number) const;
  const Path& directory() const { return directory_; }
  Path logs() const { return root_ / "log" / "qemu"; }  ///< What the QEMUs of this process wrote.

  /// Runs a test case of this program in a process of its own, with the same directory but a libvirt root of the
  /// children's; its exit status as a shell says it.
  int run_child(const std::string& test_case);

  /// Runs a line in the guest, waiting for it to boot: its output, with "<done STATUS>" at the end. Nothing when the
  /// time is up or the connection ends.
  static std::optional<std::string> run(const vm::MachineSpec& spec, const std::string& line,
                                        std::chrono::seconds limit = std::chrono::seconds(60));

 private:
  Rig();
  ~Rig();
  Path directory_;
  Path root_;  ///< libvirt's: a process keeps its own locked to its end.
  std::unique_ptr<vm::Hypervisor> hypervisor_;
};

/// Whether `condition` comes true within `limit`.
template <class F>
bool eventually(F condition, std::chrono::milliseconds limit = std::chrono::seconds(20));

}  // namespace sprite::test

template <class F>
bool sprite::test::eventually(F condition, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}
