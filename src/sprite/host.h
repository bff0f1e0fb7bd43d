#pragma once
/// What all sprites of a daemon share: its threads, the hypervisor, where things lie.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/stream.h"
#include "image/catalogue.h"
#include "sprite/limited_calls.h"
#include "sprite/open.h"
#include "sprite/record.h"
#include "sprite/turns.h"
#include "store/volume.h"
#include "vm/hypervisor.h"

namespace sprite {

class Host {
 public:
  Host(asio::any_io_executor executor, SpritesOptions options);
  ~Host();

  const SpritesOptions& options() const { return options_; }
  asio::any_io_executor executor() const { return executor_; }
  asio::thread_pool& pool() { return pool_; }

  /// The hypervisor, opened by the first who asks (4 to 8 s on a machine's first use). Errors: unavailable; the next
  /// call tries again.
  asio::awaitable<Result<vm::Hypervisor*>> hypervisor();
  /// The result of `work(vm::Hypervisor&)` on a thread of its own; every call of a hypervisor goes through here, since
  /// one may hang. Errors: those of `work`, those of hypervisor(); unavailable (it takes longer than `limit`).
  template <class Work>
  asio::awaitable<std::invoke_result_t<Work&, vm::Hypervisor&>> with_hypervisor(
      std::string doing, Work& work, std::chrono::milliseconds limit = std::chrono::seconds(30)) {
    CO_TRY_LET(vm::Hypervisor * opened, co_await hypervisor());
    auto call = [opened, its_work = std::move(work)]() mutable { return its_work(*opened); };
    co_return co_await calls_.call(std::move(doing), limit, call);
  }
  /// It, if it is open already, or null.
  vm::Hypervisor* opened_hypervisor() const { return hypervisor_.get(); }
  /// What is known of it without waiting; empty until it is open.
  vm::Facts facts() const { return facts_; }
  /// Called on the executor when a machine ended by itself. Set once, before the first hypervisor().
  void on_ended(std::function<void(std::string id, std::string reason)> callback) { ended_ = std::move(callback); }

  /// Waits for what is under way on other threads; nothing may be begun after it.
  void close();

  /// Called with each stream that a sprite's guest opens.
  void on_guest(std::function<void(const std::string& name, Stream)> serve) { serve_guest_ = std::move(serve); }
  void serve_guest(const std::string& name, Stream stream) const {
    if (serve_guest_) serve_guest_(name, std::move(stream));
  }

  image::Catalogue images() const { return image::Catalogue(options_.data_dir / "images"); }

  /// Compressed pieces of disks, shared by all sprites.
  store::PackStore& packs() { return *packs_; }
  /// Opens a sprite's volume. Errors: as store::Volume::open().
  Result<std::shared_ptr<store::Volume>> open_volume(const std::string& sprite_id) const;
  /// Any other volume that may need the packs.
  Result<std::shared_ptr<store::Volume>> open_volume_at(const Path& directory, const Path& runtime) const {
    return store::Volume::open(directory, runtime, packs_);
  }

  /// What every sprite's id begins with; a uuid follows.
  static constexpr std::string_view sprite_id_prefix = "sprite-";
  /// The uuid in a sprite's id.
  static std::string machine_id(const std::string& sprite_id);
  /// What makes a machine a sprite's: names, time, fresh entropy.
  wire::Configure new_identity(const std::string& sprite_id, const std::string& name) const;
  /// A VM with the folder, sockets and memory file that follow from its id. Errors: as image::Catalogue::find().
  Result<vm::MachineSpec> vm_spec(const std::string& vm_id, const std::string& image, std::uint64_t memory_bytes,
                                  unsigned vcpus) const;
  Path templates_dir() const { return options_.data_dir / "templates"; }
  Path sprites_dir() const { return options_.data_dir / "sprites"; }
  Path sprite_dir(const std::string& sprite_id) const { return sprites_dir() / sprite_id; }
  Path console_log(const std::string& sprite_id) const { return sprite_dir(sprite_id) / "console.log"; }
  /// What lives as long as an open volume.
  Path volume_dir(const std::string& sprite_id) const { return vm_dir(machine_id(sprite_id)); }
  /// What lives as long as a VM. That of a sprite's first one is its volume's, too.
  Path vms_dir() const { return options_.runtime_dir / "vm"; }
  Path vm_dir(const std::string& vm_id) const;
  Path memory_file(const std::string& vm_id) const;

 private:
  asio::any_io_executor executor_;
  SpritesOptions options_;
  std::shared_ptr<store::PackStore> packs_;
  asio::thread_pool pool_;
  Turns opening_;
  std::unique_ptr<vm::Hypervisor> hypervisor_;
  vm::Facts facts_;
  std::function<void(std::string, std::string)> ended_;
  std::function<void(const std::string&, Stream)> serve_guest_;
  LimitedCalls calls_;  // last: they use what is above
};

}  // namespace sprite
