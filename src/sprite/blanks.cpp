#include "sprite/blanks.h"

#include <algorithm>
#include <future>

#include "base/log.h"
#include "sprite/agent_client.h"
#include "sprite/connect_channel.h"
#include "sprite/hidden_vms.h"
#include "sprite/memory_pressure.h"
#include "sprite/on_pool.h"
#include "vm/machine_files.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds idle_limit = 5min, watch_step = 5s;
constexpr auto rehearsal_limit = 30s;               // of each step, in the background of a machine that may be busy
constexpr std::uint64_t reserve_bytes = 512 * MiB;  // besides what a blank itself takes

}  // namespace

bool Blanks::memory_is_short(std::uint64_t bytes) const {
  const FreeMemory free = free_memory(host_.options().memory_dir);
  return std::min(free.host_bytes, free.directory_bytes) < bytes + reserve_bytes;
}

Result<> Blank::fork_disk(const Path& folder, store::FillDatabase rows) const {
  return scratch ? scratch->volume()->fork(folder, cut, std::move(rows))
                 : made_of->disk->fork(folder, made_of->cut, std::move(rows));
}

std::optional<Blank> Blanks::Pool::take(const std::shared_ptr<const Template>& of) {
  const auto found = std::ranges::find(waiting, of, &Blank::made_of);
  if (!of || found == waiting.end()) return std::nullopt;
  std::optional<Blank> blank = std::move(*found);
  waiting.erase(found);
  return blank;
}

/// A start can use one that was meant for a wake.
std::optional<Blank> Blanks::take_waiting(const std::shared_ptr<const Template>& of, BlankFor what) {
  auto blank = pool(what).take(of);
  return blank || what == BlankFor::wake ? std::move(blank) : for_wakes_.take(of);
}

asio::awaitable<Result<Blank>> Blanks::take(std::shared_ptr<const Template> of) {
  auto waiting = take_waiting(of, BlankFor::start);
  if (waiting) co_return *std::move(waiting);
  co_return co_await make(of, BlankFor::wake);  // it has no time to rehearse
}

asio::awaitable<Result<Blank>> Blanks::make_empty(TemplateKind kind, std::uint64_t disk_bytes) {
  CO_TRY_LET(const std::string vm_id, hidden_vms::begin(host_));
  const auto blank = std::make_shared<Blank>(Blank{.vm_id = vm_id});
  auto started = co_await start(blank, std::move(kind), disk_bytes);
  co_return co_await discard_unless(std::move(started), blank);
}

asio::awaitable<Result<Blank>> Blanks::empty(Blank waiting) {
  const auto blank = std::make_shared<Blank>(std::move(waiting));
  auto empty = [file = host_.memory_file(blank->vm_id)] { return vm::empty_memory_file(file); };
  auto emptied = co_await on_pool(host_.pool(), empty);
  blank->made_of.reset();
  co_return co_await discard_unless(std::move(emptied), blank);
}

asio::awaitable<Result<Blank>> Blanks::make(std::shared_ptr<const Template> of, BlankFor what) {
  CO_TRY_LET(const std::string vm_id, hidden_vms::begin(host_));
  const auto blank = std::make_shared<Blank>(Blank{.vm_id = vm_id, .made_of = std::move(of)});
  std::erase_if(unfinished_, [](const auto& each) { return each.expired(); });
  unfinished_.push_back(blank);
  auto made = co_await start(blank, blank->made_of->kind, blank->made_of->disk->size_bytes());
  if (made && what == BlankFor::start) made = co_await rehearse(blank);
  co_return co_await discard_unless(std::move(made), blank);
}

asio::awaitable<Result<Blank>> Blanks::discard_unless(Result<> well, std::shared_ptr<Blank> blank) {
  if (well) co_return std::move(*blank);
  co_await discard(std::move(*blank));
  co_return std::move(well).error();
}

asio::awaitable<Result<>> Blanks::start(std::shared_ptr<Blank> blank, TemplateKind kind, std::uint64_t disk_bytes) {
  CO_TRY_LET(vm::MachineSpec spec, host_.vm_spec(blank->vm_id, kind.image, kind.memory_bytes, kind.vcpus));
  auto prepare = [blank, spec, disk_bytes]() -> Result<> {
    TRY_LET(blank->disks, DiskServer::start(spec.disk_socket, disk_bytes));
    return vm::make_memory_file(spec.memory_file, spec.memory_bytes);
  };
  CO_TRY(co_await on_pool(host_.pool(), prepare));
  auto start = [this, of = blank->made_of, spec](vm::Hypervisor& hypervisor) -> Result<> {
    auto fill = [&] { return of ? vm::fill_memory(of->memory, spec.memory_file, closing_) : Result<>(); };
    auto filling = std::async(std::launch::async, fill);
    const auto started = hypervisor.start_waiting(spec);
    const auto filled = filling.get();
    TRY(started);
    return filled;
  };
  co_return co_await host_.with_hypervisor("starting a machine", start);
}

/// Until a program has run in it, as a sprite's first one will; then it stands still, its disk cut.
asio::awaitable<Result<>> Blanks::rehearse(std::shared_ptr<Blank> blank) {
  const std::string id = blank->vm_id;
  auto bind = [this, blank]() -> Result<> {
    TRY_LET(blank->scratch, ScratchDisk::make(host_, *blank->made_of, blank->vm_id));
    return blank->disks->bind(blank->scratch->volume());
  };
  CO_TRY(co_await on_pool(host_.pool(), bind));
  auto load = [id, of = blank->made_of](vm::Hypervisor& hypervisor) -> Result<> {
    TRY(hypervisor.load(id, of->memory.state()));
    return hypervisor.resume(id);
  };
  CO_TRY(co_await host_.with_hypervisor("loading the template", load, rehearsal_limit));
  auto refuse = [](Stream) {};  // nobody is at home who could ask for anything
  auto closed = [](Error) {};
  CO_TRY_LET(const auto link, co_await connect_channel(host_.executor(), host_.vm_dir(id) / "channel.sock", refuse,
                                                       closed, rehearsal_limit));
  wire::Configure identity = host_.new_identity("sprite-" + id, "");
  identity.machine_id.clear();  // it leaves no trace on the disk
  CO_TRY_LET(Stream first, link->open());
  CO_TRY(co_await agent_client::configure(std::move(first), identity, rehearsal_limit));
  CO_TRY_LET(Stream second, link->open());
  std::vector<std::string> first_program{"true"};
  CO_TRY(co_await agent_client::run_program(std::move(second), std::move(first_program), rehearsal_limit));
  const wire::Configure nobody;
  CO_TRY_LET(Stream third, link->open());
  CO_TRY(co_await agent_client::configure(std::move(third), nobody, rehearsal_limit));
  auto pause = [id](vm::Hypervisor& hypervisor) { return hypervisor.pause(id); };
  CO_TRY(co_await host_.with_hypervisor("pausing a machine", pause, rehearsal_limit));
  auto cut = [blank]() -> Result<> {
    TRY_LET(const store::Checkpoint made, blank->scratch->volume()->checkpoint("the disk of a blank"));
    blank->cut = made.number;
    return {};
  };
  co_return co_await on_pool(host_.pool(), cut);
}

asio::awaitable<void> Blanks::discard(Blank blank) {
  auto end = [this, id = blank.vm_id](vm::Hypervisor& hypervisor) { return hidden_vms::end(host_, hypervisor, id); };
  const auto ended = co_await host_.with_hypervisor("ending a machine", end);
  if (!ended) log::warning("ignoring: {}", log::one_line(ended.error()));  // the next daemon ends it
  auto stop = [disks = std::move(blank.disks), scratch = std::move(blank.scratch)]() mutable {
    disks.reset();
    scratch.reset();
    return Result<>();
  };
  (void)co_await on_pool(host_.pool(), stop);
}

asio::awaitable<void> Blanks::discard_oldest(Pool& pool) {
  Blank oldest = std::move(pool.waiting.front());
  pool.waiting.pop_front();
  co_await discard(std::move(oldest));
}

asio::awaitable<Result<>> Blanks::keep_ready(std::shared_ptr<const Template> of, BlankFor what) {
  last_use_ = std::chrono::steady_clock::now();
  Pool& pool = this->pool(what);
  const std::size_t wanted = host_.options().blanks_max;
  while (!closing_ && !pool.waiting.empty() && pool.waiting.size() == wanted &&
         std::ranges::find(pool.waiting, of, &Blank::made_of) == pool.waiting.end()) {
    co_await discard_oldest(pool);  // of what was used before
  }
  while (!closing_ && pool.size() < wanted && !memory_is_short(of->memory.ram_data_bytes)) {
    const std::size_t given_up = times_given_up_;
    ++pool.being_made;
    auto made = co_await make(of, what);
    const bool wanted_still = given_up == times_given_up_;
    if (made && !wanted_still) co_await discard(*std::move(made));
    --pool.being_made;
    if (!wanted_still) break;
    if (!made) co_return std::move(made).error();
    log::info("machine {} waits for the next {}", vm::short_id(made->vm_id),
              what == BlankFor::start ? "start" : "wake");
    pool.waiting.push_back(*std::move(made));
    if (!watched_) {
      watched_ = true;
      auto ignored = [](std::exception_ptr) {};
      asio::co_spawn(host_.executor(), watch(), ignored);
    }
  }
  co_return Result<>{};
}

/// While there are any.
asio::awaitable<void> Blanks::watch() {
  do {
    co_await pause_for(watch_step);
    const bool unused = std::chrono::steady_clock::now() - last_use_ > idle_limit;
    if (unused || memory_is_short(0)) co_await give_up();
  } while (!closing_ && for_starts_.waiting.size() + for_wakes_.waiting.size() > 0);
  watched_ = false;
}

asio::awaitable<bool> Blanks::give_up() {
  ++times_given_up_;
  const bool had_some = for_starts_.size() + for_wakes_.size() > 0;
  for (Pool* pool : {&for_starts_, &for_wakes_}) {
    while (!pool->waiting.empty()) co_await discard_oldest(*pool);
  }
  while (!closing_ && for_starts_.being_made + for_wakes_.being_made > 0) co_await pause_for(20ms);
  co_return had_some;
}

asio::awaitable<void> Blanks::ended(std::string vm_id) {
  for (Pool* pool : {&for_starts_, &for_wakes_}) {
    const auto found = std::ranges::find(pool->waiting, vm_id, &Blank::vm_id);
    if (found == pool->waiting.end()) continue;
    Blank blank = std::move(*found);
    pool->waiting.erase(found);
    co_await discard(std::move(blank));
    co_return;
  }
}

void Blanks::close() {
  closing_ = true;
  for (Pool* pool : {&for_starts_, &for_wakes_}) pool->waiting.clear();
}

void Blanks::let_go_of_unfinished() {
  for (const auto& each : std::exchange(unfinished_, {})) {
    const auto blank = each.lock();
    if (!blank) continue;
    blank->disks.reset();
    blank->scratch.reset();
  }
}

}  // namespace sprite
