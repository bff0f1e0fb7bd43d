#include "sprite/host.h"

#include <boost/asio/post.hpp>

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
  const Path runtime = vm_dir(sprite_id);
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

std::string Host::machine_id(const std::string& sprite_id) { return sprite_id.substr(sprite_id_prefix.size()); }

std::string Host::short_id(const std::string& sprite_id) { return vm::short_id(machine_id(sprite_id)); }

}  // namespace sprite
