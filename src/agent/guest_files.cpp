#include "agent/guest_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

namespace sprite::agent {
namespace {

constexpr std::string_view own_address = "127.0.1.1";

Result<> replace_if_different(const Path& path, const std::string& text, mode_t mode = 0644) {
  if (const auto present = read_file(path, 1 * MiB); present && *present == text) return {};
  TRY(write_file_atomically(path, text, mode));
  if (::chmod(path.c_str(), mode) != 0) return system_error("cannot set the mode of '" + path.string() + "'");
  return {};
}

std::string text_of(const Path& path) {
  auto text = read_file(path, 1 * MiB);
  return text ? *std::move(text) : std::string();
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

Result<> take_identity(const Identity& identity) {
  if (!identity.hostname.empty()) {
    if (::sethostname(identity.hostname.data(), identity.hostname.size()) != 0)
      return system_error("cannot set the host name to '" + identity.hostname + "'");
    TRY(replace_if_different("/etc/hostname", identity.hostname + "\n"));
    TRY(replace_if_different("/etc/hosts", hosts_with_name(text_of("/etc/hosts"), identity.hostname)));
  }
  if (!identity.machine_id.empty()) TRY(replace_if_different("/etc/machine-id", identity.machine_id + "\n", 0444));
  if (text_of("/etc/resolv.conf").empty()) TRY(replace_if_different("/etc/resolv.conf", "nameserver 10.0.2.3\n"));
  return {};
}

}  // namespace sprite::agent
