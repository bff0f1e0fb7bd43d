#include "agent/boot.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "agent/control_groups.h"
#include "agent/kernel_identity.h"
#include "base/directory.h"
#include "base/log.h"
#include "base/text.h"

namespace sprite::agent {
namespace {

constexpr auto port_name = "sprite.channel";

Result<> mount_at(const char* type, const Path& at, unsigned long flags, const char* options = nullptr) {
  ::mkdir(at.c_str(), 0755);
  if (::mount(type, at.c_str(), type, flags, options) != 0 && errno != EBUSY)
    return system_error("cannot mount " + std::string(type) + " on " + at.string());
  return {};
}

/// The initramfs is the root that nothing can leave by pivot_root, so the same files are put on top as a mount of their
/// own.
Result<> move_root() {
  ::mkdir("/new-root", 0755);
  if (::mount("/", "/new-root", nullptr, MS_BIND, nullptr) != 0) return system_error("cannot bind the root");
  if (::chdir("/new-root") != 0 || ::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0 || ::chroot(".") != 0)
    return system_error("cannot move the root");
  if (::chdir("/") != 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return system_error("cannot make the root private");
  return {};
}

Result<> mount_kernel_file_systems() {
  constexpr unsigned long careful = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  TRY(mount_at("proc", "/proc", careful));
  TRY(mount_at("sysfs", "/sys", careful));
  TRY(mount_at("devtmpfs", "/dev", MS_NOSUID | MS_NOEXEC));
  TRY(mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755"));
  TRY(mount_at("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777"));
  return mount_at("cgroup2", "/sys/fs/cgroup", careful);
}

Result<> put(const Path& path, std::string_view text) {
  TRY_LET(const Fd file, open_file(path, O_WRONLY));
  return write_all(file.get(), as_bytes(text));
}

/// Root inside the container can mount another /proc and there name a program for the kernel to run in the root
/// namespace (core_pattern, modprobe). Such a program gets no capability at all.
Result<> disarm_kernel_helpers() {
  for (const char* set : {"bset", "inheritable"}) TRY(put(Path("/proc/sys/kernel/usermodehelper") / set, "0 0"));
  return put("/proc/sys/kernel/kexec_load_disabled", "1");
}

void raise_own_limits() {
  const rlimit files{65536, 1048576};
  ::setrlimit(RLIMIT_NOFILE, &files);
  (void)put("/proc/self/oom_score_adj", "-1000");
}

Result<> wait_for(const Path& path, std::chrono::milliseconds limit) {
  constexpr std::chrono::milliseconds step{5};
  for (auto waited = std::chrono::milliseconds(0); ::access(path.c_str(), F_OK) != 0; waited += step) {
    if (waited >= limit) return Error{Error::Kind::unavailable, "there is no " + path.string()};
    std::this_thread::sleep_for(step);
  }
  return {};
}

}  // namespace

Result<> prepare_root() {
  TRY(move_root());
  TRY(mount_kernel_file_systems());
  TRY(hand_down_controllers("/sys/fs/cgroup"));
  if (auto disarmed = disarm_kernel_helpers(); !disarmed) log::warning("ignoring: {}", log::one_line(disarmed.error()));
  raise_own_limits();
  ::mkdir(disk_folder.c_str(), 0755);
  ::mkdir(inside_folder.c_str(), 0755);
  for (const char* name : {"bin", "checkpoints"}) ::mkdir((inside_folder / name).c_str(), 0755);
  for (const char* name : {"bin/spawner", "bin/sprite-env"})
    if (::link("/init", (inside_folder / name).c_str()) != 0 && errno != EEXIST)
      return system_error("cannot put '" + std::string(name) + "' into place");
  return publish_boot_id();
}

Result<Modules> load_needed_modules() {
  TRY_LET(Modules modules, Modules::open());
  for (const char* name : {"virtio_pci", "virtio_console", "virtio_blk", "ext4", "virtio_net", "virtio_rng",
                           "virtio_balloon", "autofs4", "veth", "nf_tables", "nft_ct", "nft_chain_nat", "nft_masq"})
    TRY(modules.load(name));
  return modules;
}

void load_other_modules(Modules& modules) {
  const std::vector<std::string> failed = modules.load_the_rest();
  if (!failed.empty()) log::warning("ignoring modules that cannot be loaded: {}", join(failed, ", "));
  if (auto closed = put("/proc/sys/kernel/modules_disabled", "1"); !closed)
    log::warning("ignoring: {}", log::one_line(closed.error()));
}

/// With lazytime a mere read writes nothing, so that programs start also while the disk waits for space on the host.
Result<> mount_disk() {
  TRY(wait_for(disk_device, std::chrono::seconds(10)));
  if (::mount(disk_device, disk_folder.c_str(), "ext4", MS_RELATIME | MS_LAZYTIME, "discard,noinit_itable") != 0)
    return system_error("cannot mount the disk");
  return {};
}

void forget_disk() {
  const auto device = open_file(disk_device, O_RDONLY);
  if (device)
    (void)::ioctl(device->get(), BLKFLSBUF, 0);  // the last close of a device that nobody has mounted does it, too
}

Result<Fd> open_channel_port() {
  const Path ports = "/sys/class/virtio-ports";
  for (int attempt = 0; attempt < 1000; ++attempt) {
    for (const Path& port : entries_of(ports)) {
      const auto name = read_file(port / "name", 4096);
      if (name && trim(*name) == port_name) return open_file("/dev" / port.filename(), O_RDWR | O_NONBLOCK);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return Error{Error::Kind::not_found, "there is no port '" + std::string(port_name) + "'"};
}

}  // namespace sprite::agent
