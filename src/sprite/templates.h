#pragma once
/// Templates: images that have been booted once on this host, and frozen: RAM, device state and disk of one instant,
/// the inner container running and nobody's yet. Sprites go on from there instead of booting.
///
/// There is one for each image, memory size and number of processors, in `<data>/templates/<kind>/`: `memory/` (see
/// vm/memory_image.h) and `disk/`, a volume with one checkpoint, which forks are made of. It is made under a name that
/// begins with a dot and renamed when it is whole and durable; what has such a name at the next start is removed. One
/// that does not fit any more (another QEMU, CPU, …), or is damaged, is refused with the reason, removed, and made
/// anew. Only hidden VMs run while one is made, so that it holds nobody's secret. The least used are removed when all
/// together exceed their budget.
#include <atomic>
#include <compare>
#include <map>
#include <set>

#include "sprite/host.h"
#include "vm/memory_image.h"

namespace sprite {

/// What sprites must have in common to go on from one template.
struct TemplateKind {
  std::string image{};  ///< digest
  std::uint64_t memory_bytes = 0;
  unsigned vcpus = 0;

  auto operator<=>(const TemplateKind&) const = default;
};

TemplateKind kind_of(const Record& record);

struct Template {
  TemplateKind kind{};
  vm::MemoryImage memory{};
  std::shared_ptr<store::Volume> disk{};  ///< Nobody writes it.
  std::int64_t cut = 0;                   ///< The checkpoint of it that goes with the memory.
};

class Templates {
 public:
  explicit Templates(Host& host) : host_(host) {}

  /// Removes what an earlier daemon did not finish. Errors: as system_error.
  Result<> open();
  /// The template of that kind, or null; one that does not fit is removed, and the reason logged.
  asio::awaitable<std::shared_ptr<const Template>> find(TemplateKind kind);
  /// Makes one if there is none; whether there was none. Errors: not_found (no such image), no_space, unavailable.
  asio::awaitable<Result<bool>> make_unless_there(TemplateKind kind);
  /// The same in the background; begins when nobody has asked for one for a moment, since users come first. Failures
  /// are logged.
  asio::awaitable<void> make_soon(TemplateKind kind);
  /// It turned out to be damaged: it is removed, for that reason.
  asio::awaitable<void> remove(std::shared_ptr<const Template> damaged, Error reason);
  /// Lets go of all disks. Nothing may be called after it.
  void close();

 private:
  struct Making;
  using Removed = std::set<std::string>;  // names of folders

  asio::awaitable<Result<>> make(TemplateKind kind);
  asio::awaitable<Result<>> boot_and_save(std::string vm_id, TemplateKind kind, Path folder,
                                          std::shared_ptr<Making> making);
  asio::awaitable<Result<>> settle(Path channel_socket);
  Result<std::shared_ptr<const Template>> load(vm::Hypervisor& hypervisor, const TemplateKind& kind);
  Result<vm::MachineSpec> spec_of(const TemplateKind& kind, const std::string& vm_id) const;
  static Result<> put_into_place(const Path& unfinished, const Path& folder);
  Result<Removed> keep_to_budget(const Path& newest);
  Path folder_of(const TemplateKind& kind) const;

  Host& host_;
  std::map<TemplateKind, std::shared_ptr<const Template>> loaded_;
  std::set<TemplateKind> being_made_;
  std::map<TemplateKind, std::chrono::steady_clock::time_point> failed_;
  std::chrono::steady_clock::time_point last_use_{};
  Turns making_, finding_;  // one at a time
  std::atomic<bool> closing_ = false;
};

}  // namespace sprite
