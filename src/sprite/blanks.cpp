#include "sprite/blanks.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <future>

#include "base/log.h"
#include "base/text.h"
#include "sprite/connect_channel.h"
#include "sprite/hidden_vms.h"
#include "sprite/on_pool.h"
#include "vm/machine_files.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds idle_limit = 5min, watch_step = 5s;
constexpr std::uint64_t reserve_bytes = 512 * MiB;  // besides what a blank itself takes

/// What the kernel thinks that programs can still have.
std::uint64_t available_memory() {
  const auto text = read_file("/proc/meminfo", 64 * KiB);
  const std::string_view name = "MemAvailable:";
  const std::size_t at = text ? text->find(name) : std::string::npos;
  return at == std::string::npos ? 0 : std::strtoull(text->c_str() + at + name.size(), nullptr, 10) * KiB;
}

std::uint64_t room_in(const Path& directory) {
  struct statvfs space {};
  return ::statvfs(directory.c_str(), &space) == 0 ? std::uint64_t{space.f_bavail} * space.f_frsize : 0;
}

}  // namespace

bool Blanks::memory_is_short(std::uint64_t bytes) const {
  return std::min(available_memory(), room_in(host_.options().memory_dir)) < bytes + reserve_bytes;
}

asio::awaitable<Result<Blank>> Blanks::take(std::shared_ptr<const Template> of) {
  auto waiting = take_waiting(of);
  if (waiting) co_return *std::move(waiting);
  co_return co_await make(of);
}

std::optional<Blank> Blanks::take_waiting(const std::shared_ptr<const Template>& of) {
  const auto found = std::ranges::find(waiting_, of, &Blank::made_of);
  if (!of || found == waiting_.end()) return std::nullopt;
  std::optional<Blank> blank = std::move(*found);
  waiting_.erase(found);
  return blank;
}

asio::awaitable<Result<Blank>> Blanks::make(std::shared_ptr<const Template> of) {
  CO_TRY_LET(const std::string vm_id, hidden_vms::begin(host_));
  const auto blank = std::make_shared<Blank>(Blank{vm_id, std::move(of), nullptr});
  auto started = co_await start(blank);
  if (started) co_return std::move(*blank);
  co_await discard(std::move(*blank));
  co_return std::move(started).error();
}

asio::awaitable<Result<>> Blanks::start(std::shared_ptr<Blank> blank) {
  const TemplateKind& kind = blank->made_of->kind;
  CO_TRY_LET(vm::MachineSpec spec, host_.vm_spec(blank->vm_id, kind.image, kind.memory_bytes, kind.vcpus));
  auto prepare = [blank, spec]() -> Result<> {
    TRY_LET(blank->disks, DiskServer::start(spec.disk_socket, blank->made_of->disk->size_bytes()));
    return vm::make_memory_file(spec.memory_file, spec.memory_bytes);
  };
  CO_TRY(co_await on_pool(host_.pool(), prepare));
  auto start = [this, of = blank->made_of, spec](vm::Hypervisor& hypervisor) -> Result<> {
    auto fill = [&] { return vm::fill_memory(of->memory, spec.memory_file, closing_); };
    auto filling = std::async(std::launch::async, fill);
    const auto started = hypervisor.start_waiting(spec);
    const auto filled = filling.get();
    TRY(started);
    return filled;
  };
  co_return co_await host_.with_hypervisor("starting a machine", start);
}

asio::awaitable<void> Blanks::discard(Blank blank) {
  auto end = [this, id = blank.vm_id](vm::Hypervisor& hypervisor) { return hidden_vms::end(host_, hypervisor, id); };
  const auto ended = co_await host_.with_hypervisor("ending a machine", end);
  if (!ended) log::warning("ignoring: {}", log::one_line(ended.error()));  // the next daemon ends it
  auto stop = [disks = std::move(blank.disks)]() mutable { return disks.reset(), Result<>(); };
  (void)co_await on_pool(host_.pool(), stop);
}

asio::awaitable<void> Blanks::keep_ready(std::shared_ptr<const Template> of) {
  last_use_ = std::chrono::steady_clock::now();
  if (!watched_) {
    watched_ = true;
    auto ignored = [](std::exception_ptr) {};
    asio::co_spawn(host_.executor(), watch(), ignored);
  }
  while (!closing_ && waiting_.size() + being_made_ > 0 &&
         std::ranges::find(waiting_, of, &Blank::made_of) == waiting_.end() &&
         waiting_.size() == host_.options().blanks_max) {
    Blank other = std::move(waiting_.front());  // of what was used before
    waiting_.pop_front();
    co_await discard(std::move(other));
  }
  while (!closing_ && waiting_.size() + being_made_ < host_.options().blanks_max &&
         !memory_is_short(of->memory.ram_data_bytes)) {
    ++being_made_;
    auto made = co_await make(of);
    --being_made_;
    if (!made) {
      log::warning("no machine is kept ready: {}", log::one_line(made.error()));
      co_return;
    }
    waiting_.push_back(*std::move(made));
  }
}

/// While there are any.
asio::awaitable<void> Blanks::watch() {
  do {
    co_await pause_for(watch_step);
    const bool unused = std::chrono::steady_clock::now() - last_use_ > idle_limit;
    if (unused || memory_is_short(0)) co_await give_up();
  } while (!closing_ && waiting_.size() + being_made_ > 0);
  watched_ = false;
}

asio::awaitable<bool> Blanks::give_up() {
  const bool had_some = !waiting_.empty();
  while (!waiting_.empty()) {
    Blank blank = std::move(waiting_.front());
    waiting_.pop_front();
    co_await discard(std::move(blank));
  }
  co_return had_some;
}

asio::awaitable<void> Blanks::ended(std::string vm_id) {
  const auto found = std::ranges::find(waiting_, vm_id, &Blank::vm_id);
  if (found == waiting_.end()) co_return;
  Blank blank = std::move(*found);
  waiting_.erase(found);
  co_await discard(std::move(blank));
}

void Blanks::close() {
  closing_ = true;
  waiting_.clear();
}

}  // namespace sprite
