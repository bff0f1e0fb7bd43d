#include "agent/guest_files.h"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "base/directory.h"
#include "base/file.h"
#include "base/text.h"

namespace sprite::agent {
namespace {

constexpr std::string_view own_address = "127.0.1.1";

/// Not made durable: the machine is told who it is at every start.
Result<> replace_if_different(const Path& path, const std::string& text, mode_t mode = 0644) {
  if (const auto present = read_file(path, 1 * MiB); present && *present == text) return {};
  const Path fresh = path.string() + ".new";
  ::unlink(fresh.c_str());
  TRY_LET(const Fd file, open_file(fresh, O_WRONLY | O_CREAT | O_EXCL, mode));
  TRY(write_all(file.get(), as_bytes(text)));
  if (::fchmod(file.get(), mode) != 0 || ::rename(fresh.c_str(), path.c_str()) != 0)
    return system_error("cannot replace '" + path.string() + "'");
  return {};
}

std::string text_of(const Path& path) {
  auto text = read_file(path, 1 * MiB);
  return text ? *std::move(text) : std::string();
}

/// A disk that comes from another machine (a fork, an import) has its keys.
Result<> remove_others_host_keys(const std::string& machine_id) {
  const std::string owner = trim(text_of("/etc/machine-id"));
  if (owner.empty() || owner == machine_id) return {};
  for (const Path& file : entries_of("/etc/ssh"))
    if (file.filename().string().starts_with("ssh_host_") && ::unlink(file.c_str()) != 0)
      return system_error("cannot remove '" + file.string() + "', which belongs to another machine");
  return {};
}

Result<> enter(const Fd& container) {
  if (::unshare(CLONE_FS) != 0 || ::setns(container.get(), CLONE_NEWNS | CLONE_NEWUTS) != 0)
    return system_error("cannot enter the inner container");
  return {};
}

Result<> write_identity(const Identity& identity) {
  if (!identity.hostname.empty()) {
    if (::sethostname(identity.hostname.data(), identity.hostname.size()) != 0)
      return system_error("cannot set the host name to '" + identity.hostname + "'");
    TRY(replace_if_different("/etc/hostname", identity.hostname + "\n"));
    TRY(replace_if_different("/etc/hosts", hosts_with_name(text_of("/etc/hosts"), identity.hostname)));
  }
  if (!identity.machine_id.empty()) {
    TRY(remove_others_host_keys(identity.machine_id));
    TRY(replace_if_different("/etc/machine-id", identity.machine_id + "\n", 0444));
  }
  if (text_of("/etc/resolv.conf").empty()) TRY(replace_if_different("/etc/resolv.conf", "nameserver 10.0.2.3\n"));
  return {};
}

}  // namespace

std::string hosts_with_name(std::string_view hosts, std::string_view hostname) {
  std::string out;
  bool has_localhost = false;
  for (const std::string& line : split(hosts, '\n')) {
    if (line.starts_with(own_address) || line.empty()) continue;
    has_localhost = has_localhost || line.starts_with("127.0.0.1");
    out += line + "\n";
  }
  if (!has_localhost) out = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n" + out;
  return out + std::string(own_address) + "\t" + std::string(hostname) + "\n";
}

/// On a thread that is there for this alone: it does not come back from the container.
Result<> take_identity(const Fd& container, const Identity& identity) {
  Result<> taken;
  std::thread inside([&] {
    taken = enter(container);
    if (taken) taken = write_identity(identity);
  });
  inside.join();
  return taken;
}

}  // namespace sprite::agent
