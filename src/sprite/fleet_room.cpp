// Fleet: room in memory. A VM starts only if all that it may ever take is free (vm/machine_files.h), so none is killed
// for want of a page. Where a start lacks room, those that nobody uses make it: blanks, then idle sprites, whose memory
// goes to the disk, the longest idle first. One that is pinned, has a connection open or works is left alone.
#include "base/log.h"
#include "sprite/fleet.h"
#include "vm/machine_files.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr auto surely_idle = 3s;  // the agent looks every two seconds what programs do

}  // namespace

bool Fleet::lacks_room(const Entry& entry) const {
  const auto room = vm::memory_room(host_.options().memory_dir, host_.memory_file(entry.machine.vm_id()));
  return room && room->left_bytes() < entry.record.memory_bytes;
}

asio::awaitable<void> Fleet::make_room_for(EntryPtr entry) {
  std::function<bool()> lacks = [this, entry] { return lacks_room(*entry); };
  std::string why = "to make room for '" + entry->record.name + "'";
  std::vector<EntryPtr> except{std::move(entry)};
  co_await make_room(std::move(lacks), std::move(why), std::move(except));
}

asio::awaitable<void> Fleet::make_room(std::function<bool()> lacks, std::string why, std::vector<EntryPtr> except) {
  while (lacks()) {
    const bool gave_up = co_await blanks_.give_up();
    if (gave_up) continue;
    const EntryPtr victim = co_await longest_idle(except);
    if (!victim) co_return;
    const bool made = co_await put_on_disk(victim, why);
    if (!made) except.push_back(victim);  // it could not make any
  }
}

/// Paused ones before those that run; null if there is none.
asio::awaitable<Fleet::EntryPtr> Fleet::longest_idle(std::vector<EntryPtr> except) {
  std::vector<EntryPtr> paused, running;
  for (const auto& [name, entry] : entries_) {
    if (std::ranges::find(except, entry) != except.end() || entry->use.connections > 0 || entry->stands_still ||
        sleep_rules(entry->record).pinned)
      continue;
    if (entry->phase == Phase::paused) paused.push_back(entry);
    if (entry->phase == Phase::running) running.push_back(entry);
  }
  const auto last = [](const EntryPtr& entry) { return entry->use.last; };
  if (!paused.empty()) co_return *std::ranges::min_element(paused, {}, last);
  for (const EntryPtr& entry : running) co_await look_inside(entry);
  const auto in_use_since = std::chrono::steady_clock::now() - surely_idle;
  std::erase_if(running, [&](const EntryPtr& entry) { return entry->use.last > in_use_since; });
  if (running.empty()) co_return nullptr;
  co_return *std::ranges::min_element(running, {}, last);
}

/// Whether its memory is free now.
asio::awaitable<bool> Fleet::put_on_disk(EntryPtr victim, std::string why) {
  {
    const auto turn = victim->turns.try_take();
    if (!turn || victim->use.connections > 0) co_return false;
    Result<> done;
    if (victim->phase == Phase::running) done = co_await pause(victim);
    if (done && victim->phase != Phase::paused) co_return false;
    if (done) done = co_await send_to_disk(victim);
    if (!done) {
      log::warning("'{}' cannot be put on the disk {}: {}", victim->record.name, why, log::one_line(done.error()));
      co_return false;
    }
  }
  (void)co_await has_been_saved(victim);
  if (victim->phase != Phase::asleep) co_return false;
  log::info("'{}' sleeps on the disk {}", victim->record.name, why);
  enter(*victim, Phase::asleep, "asleep, memory on disk: " + why);
  co_return true;
}

}  // namespace sprite
