#include "sprite/hidden_vms.h"

#include <unistd.h>

#include "base/directory.h"
#include "vm/machine_files.h"

namespace sprite::hidden_vms {
namespace {

constexpr auto mark_name = "hidden";

Path mark_of(const Host& host, const std::string& vm_id) { return host.vm_dir(vm_id) / mark_name; }

}  // namespace

Result<std::string> begin(const Host& host) {
  const std::string vm_id = random_uuid();
  TRY(make_directories(host.vm_dir(vm_id)));
  TRY(write_file_atomically(mark_of(host, vm_id), vm_id));
  return vm_id;
}

bool is_hidden(const Host& host, const std::string& vm_id) { return ::access(mark_of(host, vm_id).c_str(), F_OK) == 0; }

Result<> hand_over(const Host& host, const std::string& vm_id) {
  const Path mark = mark_of(host, vm_id);
  if (::unlink(mark.c_str()) != 0 && errno != ENOENT) return system_error("cannot remove '" + mark.string() + "'");
  return {};
}

/// The mark goes last: the folder's content is removed in no particular order.
Result<> end(const Host& host, vm::Hypervisor& hypervisor, const std::string& vm_id) {
  TRY(hypervisor.destroy(vm_id));
  const Path memory = host.memory_file(vm_id);
  if (::unlink(memory.c_str()) != 0 && errno != ENOENT) return system_error("cannot remove '" + memory.string() + "'");
  for (const Path& each : entries_of(host.vm_dir(vm_id)))
    if (each.filename() != mark_name) TRY(remove_tree(each));
  return remove_tree(host.vm_dir(vm_id));
}

Result<std::vector<std::string>> all(const Host& host) {
  TRY_LET(const std::vector<Path> folders, list_directory(host.vms_dir()));
  std::vector<std::string> ids;
  for (const Path& folder : folders) {
    const auto id = read_file(folder / mark_name, 4096);
    if (id && vm::short_id(*id) == folder.filename()) ids.push_back(*id);
  }
  return ids;
}

}  // namespace sprite::hidden_vms
