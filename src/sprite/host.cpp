#include "sprite/host.h"

#include <boost/asio/post.hpp>

#include "sprite/on_pool.h"
#include "vm/libvirt.h"

namespace sprite {
namespace {

constexpr std::size_t pool_threads = 8;  // most of them wait for libvirt or a disk

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

Host::~Host() { pool_.join(); }

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
  CO_TRY_LET(auto opened, co_await on_pool(pool_, open));
  opened->on_ended([executor = executor_, &ended = ended_](const std::string& id, const std::string& reason) {
    asio::post(executor, [&ended, id, reason] {
      if (ended) ended(id, reason);
    });
  });
  hypervisor_ = std::move(opened);
  facts_ = hypervisor_->facts();
  co_return hypervisor_.get();
}

std::string Host::machine_id(const std::string& sprite_id) {
  constexpr std::string_view prefix = "sprite-";
  return sprite_id.starts_with(prefix) ? sprite_id.substr(prefix.size()) : sprite_id;  // a stray folder's name has none
}

std::string Host::short_id(const std::string& sprite_id) {
  std::string digits;
  for (const char c : machine_id(sprite_id))
    if (c != '-' && digits.size() < 12) digits += c;
  return digits;
}

}  // namespace sprite
