#include "agent/oci_config.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace sprite::agent {
namespace {

namespace json = boost::json;

/// All but AUDIT_CONTROL, BLOCK_SUSPEND, MAC_ADMIN, MAC_OVERRIDE, SYS_BOOT, SYS_MODULE, SYS_RAWIO, SYS_TIME,
/// WAKE_ALARM.
json::array capability_list() {
  return {"CAP_AUDIT_READ",
          "CAP_AUDIT_WRITE",
          "CAP_BPF",
          "CAP_CHECKPOINT_RESTORE",
          "CAP_CHOWN",
          "CAP_DAC_OVERRIDE",
          "CAP_DAC_READ_SEARCH",
          "CAP_FOWNER",
          "CAP_FSETID",
          "CAP_IPC_LOCK",
          "CAP_IPC_OWNER",
          "CAP_KILL",
          "CAP_LEASE",
          "CAP_LINUX_IMMUTABLE",
          "CAP_MKNOD",
          "CAP_NET_ADMIN",
          "CAP_NET_BIND_SERVICE",
          "CAP_NET_BROADCAST",
          "CAP_NET_RAW",
          "CAP_PERFMON",
          "CAP_SETFCAP",
          "CAP_SETGID",
          "CAP_SETPCAP",
          "CAP_SETUID",
          "CAP_SYSLOG",
          "CAP_SYS_ADMIN",
          "CAP_SYS_CHROOT",
          "CAP_SYS_NICE",
          "CAP_SYS_PACCT",
          "CAP_SYS_PTRACE",
          "CAP_SYS_RESOURCE",
          "CAP_SYS_TTY_CONFIG"};
}

json::object process(const ContainerOptions& options) {
  const json::array capabilities = capability_list();
  return {{"terminal", false},
          {"user", {{"uid", 0}, {"gid", 0}}},
          {"args", {"/.sprite/bin/spawner", "spawner", std::to_string(options.spawner_socket)}},
          {"env", {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
          {"cwd", "/"},
          {"capabilities", {{"bounding", capabilities}, {"effective", capabilities}, {"permitted", capabilities}}},
          {"rlimits", {{{"type", "RLIMIT_NOFILE"}, {"hard", 1048576}, {"soft", 1024}}}},
          {"oomScoreAdj", -999},  // programs set theirs to 0
          {"noNewPrivileges", false}};
}

json::object mount(const char* at, const char* type, const std::string& source, json::array mount_options) {
  return {{"destination", at}, {"type", type}, {"source", source}, {"options", std::move(mount_options)}};
}

json::array mounts(const ContainerOptions& options) {
  return {
      mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
      mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
      mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "rw"}),
      mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
      mount("/dev/pts", "devpts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
      mount("/dev/shm", "tmpfs", "shm", {"nosuid", "nodev", "mode=1777"}),
      mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
      mount("/run", "tmpfs", "tmpfs", {"nosuid", "nodev", "mode=755"}),
      mount("/.sprite", "bind", options.inside, {"bind", "ro", "nosuid", "nodev"}),
      // What the agent mounts in it later appears here as well.
      mount("/.sprite/checkpoints", "bind", options.inside + "/checkpoints",
            {"rbind", "ro", "nosuid", "nodev", "rslave"}),
      mount("/proc/sys/kernel/random/boot_id", "bind", options.inside + "/boot_id", {"bind", "ro", "nosuid", "nodev"}),
  };
}

json::object allow(const char* type, int major, json::value minor, const char* access) {
  json::object rule{{"allow", true}, {"type", type}, {"access", access}};
  if (major >= 0) rule["major"] = major;
  if (!minor.is_null()) rule["minor"] = std::move(minor);
  return rule;
}

json::array device_rules() {
  return {
      json::object{{"allow", false}, {"access", "rwm"}},
      allow("c", -1, nullptr, "m"),  // making nodes is harmless: opening them is what counts
      allow("b", -1, nullptr, "m"),
      allow("c", 1, 3, "rwm"),  // null, zero, full, random, urandom
      allow("c", 1, 5, "rwm"),
      allow("c", 1, 7, "rwm"),
      allow("c", 1, 8, "rwm"),
      allow("c", 1, 9, "rwm"),
      allow("c", 5, 0, "rwm"),  // tty, ptmx, pts
      allow("c", 5, 2, "rwm"),
      allow("c", 136, nullptr, "rwm"),
      allow("c", 10, 200, "rwm"),  // tun, fuse, loop-control, loop
      allow("c", 10, 229, "rwm"),
      allow("c", 10, 237, "rwm"),
      allow("b", 7, nullptr, "rwm"),
  };
}

json::object device(const std::string& path, const char* type, int major, int minor, int mode) {
  return {{"path", path},     {"type", type}, {"major", major}, {"minor", minor},
          {"fileMode", mode}, {"uid", 0},     {"gid", 0}};
}

json::array devices() {
  json::array list{device("/dev/net/tun", "c", 10, 200, 0666), device("/dev/fuse", "c", 10, 229, 0666),
                   device("/dev/loop-control", "c", 10, 237, 0660)};
  for (int i = 0; i < 8; ++i) list.push_back(device("/dev/loop" + std::to_string(i), "b", 7, i, 0660));
  return list;
}

json::object linux_part(const ContainerOptions& options) {
  json::object network{{"type", "network"}};
  if (!options.network_namespace.empty()) network["path"] = options.network_namespace;
  return {
      {"namespaces",
       {{{"type", "pid"}}, {{"type", "mount"}}, {{"type", "uts"}}, {{"type", "ipc"}}, {{"type", "cgroup"}}, network}},
      {"cgroupsPath", "/inner"},
      {"rootfsPropagation", "rslave"},
      {"resources", {{"devices", device_rules()}}},
      {"devices", devices()},
      {"sysctl", {{"net.ipv4.ping_group_range", "0 2147483647"}}},
      {"maskedPaths", {"/proc/keys", "/proc/timer_list"}},
      {"readonlyPaths",
       {"/proc/bus", "/proc/irq", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hotplug", "/proc/sys/kernel/poweroff_cmd", "/proc/sys/kernel/usermodehelper"}}};
}

}  // namespace

std::string oci_config(const ContainerOptions& options) {
  return json::serialize(json::object{{"ociVersion", "1.0.2"},
                                      {"process", process(options)},
                                      {"root", {{"path", options.root}, {"readonly", false}}},
                                      {"hostname", "sprite"},
                                      {"mounts", mounts(options)},
                                      {"linux", linux_part(options)}});
}

}  // namespace sprite::agent
