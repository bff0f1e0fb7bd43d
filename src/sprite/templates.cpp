#include "sprite/templates.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/directory.h"
#include "base/log.h"
#include "base/text.h"
#include "sprite/agent_client.h"
#include "sprite/connect_channel.h"
#include "sprite/disk_server.h"
#include "sprite/hidden_vms.h"
#include "sprite/on_pool.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr auto start_limit = 90s, boot_limit = 120s;  // in the background of a machine that may be busy
constexpr auto ask_limit = 10s;
constexpr auto quiet_time = 2s, quiet_wait_limit = 30s;
constexpr auto retry_after = 10min;

std::string name_of(const TemplateKind& kind) {
  return kind.image.substr(0, 12) + "-" + std::to_string(kind.memory_bytes / MiB) + "M-" + std::to_string(kind.vcpus);
}

/// When it was last used.
timespec use_of(const Path& folder) {
  struct stat info {};
  return ::stat((folder / "used").c_str(), &info) == 0 ? info.st_mtim : timespec{};
}

void note_use(const Path& folder) {
  if (const auto file = open_file(folder / "used", O_WRONLY | O_CREAT)) ::futimens(file->get(), nullptr);
}

/// Whether what load() says is the template's fault, not the moment's.
bool is_damage(const Error& error) {
  return error.kind == Error::Kind::corrupt || error.kind == Error::Kind::invalid ||
         error.kind == Error::Kind::not_found;
}

}  // namespace

TemplateKind kind_of(const Record& record) { return {record.image, record.memory_bytes, record.vcpus}; }

/// What a template in the making consists of.
struct Templates::Making {
  std::shared_ptr<store::Volume> volume{};
  std::shared_ptr<DiskServer> disks{};
};

Path Templates::folder_of(const TemplateKind& kind) const { return host_.templates_dir() / name_of(kind); }

Result<> Templates::open() {
  TRY(make_directories(host_.templates_dir()));
  TRY_LET(const std::vector<Path> folders, list_directory(host_.templates_dir()));
  const auto images = host_.images().list();
  for (const Path& folder : folders) {
    const std::string name = folder.filename();
    const bool has_image = !images || std::ranges::any_of(*images, [&](const image::Image& each) {
      return name.starts_with(each.manifest.digest.substr(0, 12));
    });
    if (name.starts_with(".") || !has_image) TRY(remove_tree(folder));
  }
  return {};
}

Result<vm::MachineSpec> Templates::spec_of(const TemplateKind& kind, const std::string& vm_id) const {
  return host_.vm_spec(vm_id, kind.image, kind.memory_bytes, kind.vcpus);
}

// Finding.

asio::awaitable<std::shared_ptr<const Template>> Templates::find(TemplateKind kind) {
  if (host_.options().template_budget_bytes == 0) co_return nullptr;
  if (const auto found = loaded_.find(kind); found != loaded_.end()) {
    note_use(folder_of(kind));
    co_return found->second;
  }
  auto hypervisor = co_await host_.hypervisor();
  if (!hypervisor) co_return nullptr;  // whoever starts a machine meets and tells the same error
  const Turns::Turn turn = co_await finding_.take();
  if (const auto found = loaded_.find(kind); found != loaded_.end()) co_return found->second;
  auto look = [this, kind, machines = *hypervisor]() -> Result<std::shared_ptr<const Template>> {
    if (::access(folder_of(kind).c_str(), F_OK) != 0) return std::shared_ptr<const Template>();
    auto loaded = load(*machines, kind);  // asks it nothing that could hang
    if (loaded) note_use(folder_of(kind));
    if (!loaded && is_damage(loaded.error())) TRY(remove_tree(folder_of(kind)));
    return loaded;
  };
  auto found = co_await on_pool(host_.pool(), look);
  if (!found) {
    log::warning("template {} is {}: {}", name_of(kind), is_damage(found.error()) ? "removed" : "not used",
                 log::one_line(found.error()));
    co_return nullptr;
  }
  if (*found) loaded_[kind] = *found;
  co_return *found;
}

Result<std::shared_ptr<const Template>> Templates::load(vm::Hypervisor& hypervisor, const TemplateKind& kind) {
  const Path folder = folder_of(kind);
  TRY_LET(auto memory, vm::open_memory_image(folder / "memory"));
  if (!memory) return Error{Error::Kind::corrupt, "it has no memory"};
  TRY_LET(const image::Image image, host_.images().find(kind.image));
  TRY_LET(const vm::MachineSpec spec, spec_of(kind, random_uuid()));
  const vm::MemoryStamp wanted{hypervisor.compatibility(spec), kind.image, image.manifest.agent_version,
                               memory->stamp.disk};
  if (const std::string differs = vm::difference(memory->stamp, wanted); !differs.empty())
    return Error{Error::Kind::invalid, differs};
  const Path runtime = host_.options().runtime_dir / "templates" / folder.filename();
  TRY(make_directories(runtime));
  TRY_LET(const auto disk, host_.open_volume_at(folder / "disk", runtime));
  TRY_LET(const auto checkpoints, disk->checkpoints());
  for (const store::Checkpoint& each : checkpoints)
    if (each.instant == memory->stamp.disk)
      return std::make_shared<const Template>(Template{kind, *std::move(memory), disk, each.number});
  return Error{Error::Kind::corrupt, "its disk is another"};
}

asio::awaitable<void> Templates::remove(std::shared_ptr<const Template> damaged, Error reason) {
  const TemplateKind kind = damaged->kind;
  log::warning("template {} is removed: {}", name_of(kind), log::one_line(reason));
  if (const auto found = loaded_.find(kind); found == loaded_.end() || found->second != damaged) co_return;
  loaded_.erase(kind);
  auto removal = [folder = folder_of(kind)] { return remove_tree(folder); };
  const auto removed = co_await on_pool(host_.pool(), removal);
  if (!removed) log::warning("ignoring: {}", log::one_line(removed.error()));
}

void Templates::close() {
  closing_ = true;
  loaded_.clear();
}

// Making.

asio::awaitable<void> Templates::make_soon(TemplateKind kind) {
  last_use_ = std::chrono::steady_clock::now();
  if (host_.options().template_budget_bytes == 0 || loaded_.contains(kind) || being_made_.contains(kind)) co_return;
  if (const auto failed = failed_.find(kind); failed != failed_.end() && last_use_ - failed->second < retry_after)
    co_return;
  being_made_.insert(kind);
  const auto deadline = last_use_ + quiet_wait_limit;
  for (auto now = last_use_; now < last_use_ + quiet_time && now < deadline; now = std::chrono::steady_clock::now())
    co_await pause_for(200ms);
  const auto made = co_await make_unless_there(kind);
  being_made_.erase(kind);
  if (made || closing_) co_return;
  failed_[kind] = std::chrono::steady_clock::now();
  log::warning("template {} cannot be made: {}", name_of(kind), log::one_line(made.error()));
}

asio::awaitable<Result<bool>> Templates::make_unless_there(TemplateKind kind) {
  const Turns::Turn turn = co_await making_.take();
  const auto there = co_await find(kind);
  if (there) co_return false;
  const auto begin = std::chrono::steady_clock::now();
  CO_TRY(co_await make(kind));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  log::info("template {} was made in {:.1f} s", name_of(kind), took.count());
  co_return true;
}

asio::awaitable<Result<>> Templates::make(TemplateKind kind) {
  CO_TRY_LET(const std::string vm_id, hidden_vms::begin(host_));
  const Path unfinished = host_.templates_dir() / (".new-" + vm_id);
  const auto making = std::make_shared<Making>();
  auto made = co_await boot_and_save(vm_id, kind, unfinished, making);
  auto end = [this, vm_id](vm::Hypervisor& hypervisor) { return hidden_vms::end(host_, hypervisor, vm_id); };
  auto ended = co_await host_.with_hypervisor("ending a machine", end);
  if (made) made = std::move(ended);
  auto finish = [this, kind, unfinished, making, saved = made.has_value()]() -> Result<Removed> {
    making->disks.reset();
    auto finished = making->volume ? making->volume->close() : Result<>{};
    making->volume.reset();
    if (finished && saved) finished = put_into_place(unfinished, folder_of(kind));
    (void)remove_tree(unfinished);  // what is left is removed by the next start
    TRY(std::move(finished));
    return keep_to_budget(folder_of(kind));
  };
  auto removed = co_await on_pool(host_.pool(), finish);
  if (!made) co_return made;
  if (!removed) co_return std::move(removed).error();
  std::erase_if(loaded_, [&](const auto& each) { return removed->contains(name_of(each.first)); });
  co_return Result<>{};
}

/// `making` is filled on the way, and needed until the VM has ended.
asio::awaitable<Result<>> Templates::boot_and_save(std::string vm_id, TemplateKind kind, Path folder,
                                                   std::shared_ptr<Making> making) {
  CO_TRY_LET(const image::Image image, host_.images().find(kind.image));
  CO_TRY_LET(const vm::MachineSpec spec, spec_of(kind, vm_id));
  auto make_disk = [this, making, image, spec, folder]() -> Result<> {
    TRY(make_directories(folder / "disk"));
    TRY(store::Volume::create(folder / "disk", image.rootfs(), image.manifest.disk_bytes));
    TRY_LET(making->volume, host_.open_volume_at(folder / "disk", spec.runtime_directory));
    TRY_LET(making->disks, DiskServer::start(spec.disk_socket, making->volume->size_bytes()));
    return making->disks->bind(making->volume);
  };
  CO_TRY(co_await on_pool(host_.pool(), make_disk));
  auto boot = [spec](vm::Hypervisor& hypervisor) { return hypervisor.start(spec); };
  CO_TRY(co_await host_.with_hypervisor("starting a machine", boot, start_limit));
  CO_TRY(co_await settle(spec.channel_socket));
  CO_TRY_LET(auto begun, vm::MemoryImageWriter::begin(folder / "memory"));
  const auto writer = std::make_shared<vm::MemoryImageWriter>(std::move(begun));
  auto save = [spec, state = writer->state()](vm::Hypervisor& hypervisor) -> Result<vm::Compatibility> {
    TRY(hypervisor.pause(spec.id));
    TRY(hypervisor.save(spec.id, state));
    return hypervisor.compatibility(spec);
  };
  CO_TRY_LET(const vm::Compatibility saved_of, co_await host_.with_hypervisor("saving a machine", save));
  auto keep = [this, making, writer, saved_of, image, spec]() -> Result<> {
    TRY_LET(const store::Checkpoint cut, making->volume->checkpoint("the disk of a template"));
    const vm::MemoryStamp stamp{saved_of, image.manifest.digest, image.manifest.agent_version, cut.instant};
    TRY(writer->copy(spec.memory_file, stamp, closing_));
    return writer->publish();
  };
  co_return co_await on_pool(host_.pool(), keep);
}

/// Waits until the container runs and what began with the boot is over; what was written is on the disk then.
asio::awaitable<Result<>> Templates::settle(Path channel_socket) {
  auto refuse = [](Stream) {};  // nobody is at home who could ask for anything
  auto closed = [](Error) {};
  CO_TRY_LET(const auto link, co_await connect_channel(host_.executor(), channel_socket, refuse, closed, boot_limit));
  const auto deadline = std::chrono::steady_clock::now() + boot_limit;
  for (;;) {
    CO_TRY_LET(Stream stream, link->open());
    CO_TRY_LET(const wire::AgentStatus status, co_await agent_client::status(std::move(stream), ask_limit));
    if (status.container == "running" && status.settled) break;
    if (std::chrono::steady_clock::now() > deadline || closing_) {
      co_return Error{Error::Kind::unavailable, "its container does not run", "", {status.detail}};
    }
    co_await pause_for(50ms);
  }
  CO_TRY_LET(Stream first, link->open());
  CO_TRY(co_await agent_client::freeze(std::move(first), ask_limit));
  CO_TRY_LET(Stream second, link->open());
  co_return co_await agent_client::thaw(std::move(second), ask_limit);
}

Result<> Templates::put_into_place(const Path& unfinished, const Path& folder) {
  note_use(unfinished);
  TRY(sync_directory(unfinished));
  TRY(remove_tree(folder));
  if (::rename(unfinished.c_str(), folder.c_str()) != 0) return system_error("cannot name the new template");
  return sync_directory(folder.parent_path());
}

/// Removes the least used until all together fit; the names of those. The newest goes last.
Result<Templates::Removed> Templates::keep_to_budget(const Path& newest) {
  struct Found {
    Path folder;
    timespec used;
    std::uint64_t bytes;
  };
  std::vector<Found> found;
  std::uint64_t bytes = 0;
  TRY_LET(const std::vector<Path> folders, list_directory(host_.templates_dir()));
  for (const Path& each : folders) {
    if (each.filename().string().starts_with(".")) continue;
    found.push_back({each, use_of(each), bytes_on_disk(each)});
    bytes += found.back().bytes;
  }
  std::ranges::sort(found, [&](const Found& a, const Found& b) {
    return std::tuple(a.folder == newest, a.used.tv_sec, a.used.tv_nsec) <
           std::tuple(b.folder == newest, b.used.tv_sec, b.used.tv_nsec);
  });
  Removed removed;
  for (const Found& each : found) {
    if (bytes <= host_.options().template_budget_bytes) break;
    TRY(remove_tree(each.folder));
    bytes -= each.bytes;
    removed.insert(each.folder.filename());
  }
  return removed;
}

}  // namespace sprite
