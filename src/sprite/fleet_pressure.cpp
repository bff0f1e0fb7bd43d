// Fleet: memory that runs short while machines run (memory_pressure.h). It is looked at while a machine runs, or stands
// still for want of it, the more often the less is left. Where it is short, blanks go and the longest idle sleep on the
// disk; where next to none is left, the machine that grows fastest stands still, and goes on by itself when there is
// room. Each sprite says what became of it.
#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "base/text.h"
#include "sprite/fleet.h"
#include "vm/machine_files.h"

namespace sprite {
namespace {

constexpr std::uint64_t growing_bytes = 1 * MiB;  // between two looks; less is what any guest does
constexpr std::chrono::seconds relieve_pause{2};

/// Its guest may take pages that it does not have yet.
bool may_grow(const Entry& entry) {
  const bool stands = entry.phase == Phase::paused || entry.phase == Phase::asleep;
  return entry.machine.on() && !stands;
}

}  // namespace

std::uint64_t Fleet::growth_of_machines() const {
  std::uint64_t bytes = 0;
  for (const auto& [name, entry] : entries_)
    if (may_grow(*entry)) bytes += growth_of(*entry);
  return bytes;
}

std::uint64_t Fleet::growth_of(const Entry& entry) const {
  const std::uint64_t all = entry.record.memory_bytes;
  return all - std::min(all, vm::memory_taken(host_.memory_file(entry.machine.vm_id())));
}

void Fleet::watch_memory() {
  if (stalls_) return;
  auto stalled = [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    log::info("programs of this host wait for memory");
    self->relieve_memory(Until::one_has_gone);
  };
  stalls_ = std::make_unique<StallWatch>(host_.executor(), stalled);
  set_memory_timer(std::chrono::milliseconds(0));
}

void Fleet::set_memory_timer(std::chrono::milliseconds time) {
  memory_timer_.expires_after(time);
  memory_timer_.async_wait([weak = weak_from_this()](boost::system::error_code moved) {
    if (const auto self = weak.lock(); self && !moved) self->look_at_memory();
  });
}

void Fleet::look_at_memory() {
  std::vector<EntryPtr> growing;
  std::uint64_t growth_bytes = 0;
  bool some_stand = false;
  for (const auto& [name, entry] : entries_) {
    some_stand |= entry->stands_still;
    if (!may_grow(*entry)) continue;
    const std::uint64_t taken = vm::memory_taken(host_.memory_file(entry->machine.vm_id()));
    const std::uint64_t before = std::exchange(entry->memory_taken_bytes, taken);
    entry->memory_grown_bytes = taken - std::min(taken, before);
    growth_bytes += entry->record.memory_bytes - std::min(entry->record.memory_bytes, taken);
    growing.push_back(entry);
  }
  if (growing.empty() && !some_stand) {
    stalls_.reset();
    return;
  }
  const FreeMemory free = free_memory(host_.options().memory_dir);
  const Shortage is = shortage(free, growth_bytes, host_.options().memory_reserve_bytes);
  if (is == Shortage::acute) stop_growers(free, std::move(growing));
  if (is != Shortage::none) relieve_memory(Until::enough);
  if (is != Shortage::acute && some_stand) let_one_go_on();
  set_memory_timer(next_look(free));
}

/// The fastest; all of them where it is a matter of the next look.
void Fleet::stop_growers(const FreeMemory& free, std::vector<EntryPtr> growing) {
  const bool last_moment = free.for_machines() < host_.options().memory_reserve_bytes / 4;
  std::erase_if(growing, [&](const EntryPtr& entry) {
    return entry->phase != Phase::running || (!last_moment && entry->memory_grown_bytes < growing_bytes);
  });
  std::ranges::sort(growing, std::greater(), &Entry::memory_grown_bytes);
  if (!last_moment && growing.size() > 1) growing.resize(1);
  const std::string why = describe_shortage(free, host_.options().memory_dir);
  for (const EntryPtr& entry : growing) {
    auto ignored = [self = shared_from_this()](std::exception_ptr) {};
    asio::co_spawn(host_.executor(), stand_still(entry, why), ignored);
  }
}

asio::awaitable<void> Fleet::stand_still(EntryPtr entry, std::string why) {
  const auto turn = entry->turns.try_take();
  if (!turn || entry->phase != Phase::running) co_return;
  auto stands = co_await entry->machine.stand_still();
  if (!stands) {
    log::warning("'{}' cannot be made to stand still: {}", entry->record.name, log::one_line(stands.error()));
    co_return;
  }
  entry->stands_still = true;
  enter(*entry, Phase::paused, "stands still until there is room: " + why);
}

/// The one that stands for the longest time.
void Fleet::let_one_go_on() {
  EntryPtr next;
  for (const auto& [name, entry] : entries_)
    if (entry->stands_still && (!next || entry->use.last < next->use.last)) next = entry;
  if (!next || !has_room_to_go_on(*next)) return;
  auto go_on = [](std::shared_ptr<Fleet> self, EntryPtr entry) -> asio::awaitable<void> {
    const auto turn = entry->turns.try_take();
    if (!turn || !entry->stands_still) co_return;
    log::info("there is room for '{}' to go on", entry->record.name);
    (void)co_await self->resume(entry);  // the next look tries again
  };
  asio::co_spawn(host_.executor(), go_on(shared_from_this(), next), [](std::exception_ptr) {});
}

/// Behind; while it goes on, or where a moment ago there was nothing to be had, nothing is begun anew.
void Fleet::relieve_memory(Until until) {
  if (relieving_ || std::chrono::steady_clock::now() < relieve_again_) return;
  relieving_ = true;
  auto relieve = [](std::shared_ptr<Fleet> self, Until enough) -> asio::awaitable<void> {
    const Path& directory = self->host_.options().memory_dir;
    bool looked = false;
    std::function<bool()> lacks = [self, enough, &looked] {
      if (enough == Until::one_has_gone) return !std::exchange(looked, true);
      return self->memory_is_short();
    };
    std::string why = "since " + describe_shortage(free_memory(directory), directory);
    std::vector<EntryPtr> nobody;
    co_await self->make_room(std::move(lacks), std::move(why), std::move(nobody));
    self->relieving_ = false;
    self->relieve_again_ = std::chrono::steady_clock::now() + relieve_pause;
  };
  asio::co_spawn(host_.executor(), relieve(shared_from_this(), until), [](std::exception_ptr) {});
}

bool Fleet::memory_is_short() const {
  const SpritesOptions& options = host_.options();
  return shortage(free_memory(options.memory_dir), growth_of_machines(), options.memory_reserve_bytes) !=
         Shortage::none;
}

bool Fleet::has_room_to_go_on(const Entry& entry) const {
  const SpritesOptions& options = host_.options();
  return may_go_on(free_memory(options.memory_dir), growth_of_machines(), growth_of(entry),
                   options.memory_reserve_bytes);
}

asio::awaitable<Result<>> Fleet::find_room_to_go_on(EntryPtr entry) {
  std::function<bool()> lacks = [this, entry] { return !has_room_to_go_on(*entry); };
  if (!lacks()) co_return Result<>{};
  std::string why = "to make room for '" + entry->record.name + "'";
  std::vector<EntryPtr> except{entry};
  co_await make_room(lacks, std::move(why), std::move(except));
  if (!lacks()) co_return Result<>{};
  const Path& directory = host_.options().memory_dir;
  co_return Error(Error::Kind::no_space, describe_shortage(free_memory(directory), directory),
                  "free some, or stop another sprite (`sprite stop NAME`)",
                  {"it may still need " + format_size(growth_of(*entry))});
}

}  // namespace sprite
