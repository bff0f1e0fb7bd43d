#include "sprite/host.h"

#include <boost/asio/post.hpp>

#include "sprite/disk_server.h"
#include "vm/embedded.h"
#include "vm/libvirt.h"
#include "vm/machine_files.h"

namespace sprite {
namespace {

constexpr std::size_t pool_threads = 8;                    // most of them wait for a disk
constexpr auto opening_limit = std::chrono::seconds(120);  // the first time takes 4 to 8 s on an idle machine

vm::LibvirtOptions libvirt_options(const SpritesOptions& options) {
  vm::LibvirtOptions chosen;
  chosen.uri = options.hypervisor_uri;
  chosen.directory = options.data_dir / "libvirt";
  chosen.short_name = options.runtime_dir / "libvirt";
  chosen.accelerator = options.accelerator;
  return chosen;
}

}  // namespace

Host::Host(asio::any_io_executor executor, SpritesOptions options)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      packs_(std::make_shared<store::PackStore>(options_.data_dir / "packs")),
      pool_(pool_threads) {}

Host::~Host() { close(); }

void Host::close() {
  pool_.join();
  while (!calls_.join_for(std::chrono::milliseconds(20)))
    if (!hypervisor_) vm::end_probes(libvirt_options(options_).directory);  // else its opening takes seconds more
}

Result<std::shared_ptr<store::Volume>> Host::open_volume(const std::string& sprite_id) const {
  const Path runtime = volume_dir(sprite_id);
  TRY(make_directories(runtime));
  return store::Volume::open(sprite_dir(sprite_id), runtime, packs_);
}

asio::awaitable<Result<vm::Hypervisor*>> Host::hypervisor() {
  if (hypervisor_) co_return hypervisor_.get();
  const Turns::Turn turn = co_await opening_.take();
  if (hypervisor_) co_return hypervisor_.get();
  auto open = [options = libvirt_options(options_)] { return vm::open_libvirt(options); };
  CO_TRY_LET(auto opened, co_await calls_.call("opening libvirt", opening_limit, open));
  opened->on_ended([executor = executor_, &ended = ended_](const std::string& id, const std::string& reason) {
    asio::post(executor, [&ended, id, reason] {
      if (ended) ended(id, reason);
    });
  });
  hypervisor_ = std::move(opened);
  facts_ = hypervisor_->facts();
  co_return hypervisor_.get();
}

Result<vm::MachineSpec> Host::vm_spec(const std::string& vm_id, const std::string& image, std::uint64_t memory_bytes,
                                      unsigned vcpus) const {
  TRY_LET(const image::Image found, images().find(image));
  const Path runtime = vm_dir(vm_id);
  return vm::MachineSpec{
      .id = vm_id,
      .hostname = "sprite",
      .kernel = found.kernel(),
      .initramfs = found.initramfs(),
      .kernel_arguments = found.manifest.kernel_arguments,
      .memory_bytes = memory_bytes,
      .vcpus = vcpus,
      .memory_file = memory_file(vm_id),
      .disk_socket = runtime / "disk.sock",
      .disk_export = disk_export,
      .checkpoints_export = checkpoints_export,
      .channel_socket = runtime / "channel.sock",
      .console_log = runtime / "console.log",
      .runtime_directory = runtime,
      .mac_address = "52:54:00:00:00:01",
  };
}

std::string Host::machine_id(const std::string& sprite_id) { return sprite_id.substr(sprite_id_prefix.size()); }

wire::Configure Host::new_identity(const std::string& sprite_id, const std::string& name) const {
  wire::Configure identity;
  identity.sprite_id = sprite_id;
  identity.sprite_name = identity.hostname = name;
  identity.sprite_url = options_.url;
  identity.realtime_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  identity.entropy = to_hex(random_bytes(64));
  for (const char c : machine_id(sprite_id))
    if (c != '-') identity.machine_id += c;
  return identity;
}

Path Host::vm_dir(const std::string& vm_id) const { return vms_dir() / vm::short_id(vm_id); }

Path Host::memory_file(const std::string& vm_id) const { return options_.memory_dir / (vm::short_id(vm_id) + ".ram"); }

}  // namespace sprite
