#include "vm/embedded.h"

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <set>

#include "base/directory.h"
#include "vm/machine_files.h"
#include "vm/network.h"

namespace sprite::vm {
namespace {

/// QEMU's control socket lies in <root>/lib/qemu/domain-<number>-<name>/monitor.sock and must fit into 107 bytes.
constexpr std::size_t root_limit = 107 - sizeof("/lib/qemu/domain-100000-sprite-0123456789ab/monitor.sock");

/// What keeps libvirt to itself: no virtlogd, no chown, no labels, no namespaces and no cgroups, none of which it could
/// set up as an ordinary user anyway.
constexpr std::string_view configuration =
    "# Written by sprite at every start.\n"
    "stdio_handler = \"file\"\n"
    "security_driver = \"none\"\n"
    "remember_owner = 0\n"
    "dynamic_ownership = 0\n"
    "namespaces = []\n"
    "cgroup_controllers = []\n"
    "capability_filters = [\"cpu-unavailable-features\"]\n";
constexpr std::string_view configuration_of_root = "user = \"root\"\ngroup = \"root\"\n";

/// What libvirt notes of machines that run belongs to the runtime directory: if the disk of `root` is full, libvirt
/// could not note that it found a machine again and would end it. One that was made before this was so stays.
Result<> move_running_state(const Path& root, const Path& to) {
  TRY(make_private_directory(to));
  std::error_code failed;
  if (std::filesystem::symlink_status(root / "run", failed).type() == std::filesystem::file_type::directory) return {};
  return link_to(to, root / "run");
}

}  // namespace

Result<std::string> prepare_embedded(const Path& root, const Path& short_name) {
  const Path& name = short_name.empty() ? root : short_name;
  if (name.string().size() > root_limit)
    return Error{Error::Kind::invalid,
                 fmt::format("'{}' is too long for the sockets of QEMU below it", name.string()),
                 fmt::format("set runtime_dir so that this path has at most {} bytes", root_limit),
                 {}};
  const bool as_root = ::geteuid() == 0;
  if (as_root && !::getpwnam("libvirt-qemu"))
    return Error{
        Error::Kind::unavailable,
        "libvirt, run by root, wants a system user 'libvirt-qemu'",
        "run `make deps`, or `useradd --system --user-group --no-create-home --shell /usr/sbin/nologin libvirt-qemu`",
        {}};
  TRY(make_private_directory(root));
  TRY(make_directories(root / "etc"));
  const std::string wanted = std::string(configuration) + std::string(as_root ? configuration_of_root : "");
  const auto present = read_file(root / "etc" / "qemu.conf");
  if (!present || *present != wanted)  // on a full disk sprites can still be stopped and destroyed
    TRY(write_file_atomically(root / "etc" / "qemu.conf", wanted));
  if (!short_name.empty()) {
    TRY(link_to(root, short_name));
    TRY(move_running_state(root, short_name.string() + "-run"));
  }
  return "qemu:///embed?root=" + name.string();
}

namespace {

std::vector<Path> probes_of(const Path& root) {
  std::vector<Path> found = entries_of(root / "lib" / "qemu");
  std::erase_if(found, [](const Path& each) { return !each.filename().string().starts_with("qmp-"); });
  return found;
}

}  // namespace

Path network_trial(const Path& root) { return root / "probe"; }

void end_probes(const Path& root) {
  end_network_trial(network_trial(root));
  for (const Path& probe : probes_of(root)) (void)kill_holder(probe / "qmp.pid");  // ignoring: nothing more can be done
}

void remove_probes(const Path& root) {
  end_probes(root);
  for (const Path& probe : probes_of(root)) (void)remove_tree(probe);
}

namespace {

/// As libvirt noted the machine last, before the domain's own XML. One that has started may still be noted with its
/// start's job, if there was no room for a later note.
bool is_unfinished(std::string_view noted) {
  const std::string_view status = noted.substr(0, noted.find("<domain "));
  const auto has = [&](std::string_view part) { return status.find(part) != std::string_view::npos; };
  return has("<domstatus state='paused' reason='starting up'") || has("<job type='destroy'") ||
         has("<domstatus state='shutdown'");
}

void forget(const Path& root, const std::string& name) {
  const Path sockets_of_qemu = root / "lib" / "qemu", notes = root / "run" / "qemu";
  for (const char* suffix : {".pid", ".xml", ".xml.new"}) ::unlink((notes / (name + suffix)).c_str());
  for (const Path& sockets : {sockets_of_qemu, sockets_of_qemu / "channel" / "target", notes / "channel"})
    for (const Path& each : entries_of(sockets))
      if (each.filename().string().ends_with("-" + name)) (void)remove_tree(each);
}

}  // namespace

void clear_unfinished(const Path& root) {
  const Path notes = root / "run" / "qemu";
  if (is_held(notes / "driver.pid")) return;  // they are another process's, which lives
  std::set<std::string> names;
  for (const Path& each : entries_of(notes))
    if (const std::string file = each.filename(); file.starts_with("sprite-"))
      names.insert(file.substr(0, file.find('.')));
  for (const std::string& name : names) {
    const auto noted = read_file(notes / (name + ".xml"));
    if (noted ? !is_unfinished(*noted) : noted.error().kind != Error::Kind::not_found) continue;
    const Path pid_file = notes / (name + ".pid");
    if (!kill_holder(pid_file) || is_held(pid_file)) continue;  // libvirt tries, too
    forget(root, name);
  }
}

std::string element_text(std::string_view xml, std::string_view name) {
  const std::string opening = fmt::format("<{}>", name);
  const std::size_t at = xml.find(opening);
  if (at == std::string_view::npos) return {};
  const std::size_t begin = at + opening.size();
  const std::size_t end = xml.find(fmt::format("</{}>", name), begin);
  return end == std::string_view::npos ? std::string() : std::string(xml.substr(begin, end - begin));
}

}  // namespace sprite::vm
