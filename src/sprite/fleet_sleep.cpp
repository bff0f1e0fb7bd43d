// Fleet: sleep and wake.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/log.h"
#include "sprite/connect_channel.h"
#include "sprite/fleet.h"
#include "sprite/on_pool.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds ending_limit = 1s, ending_step = 20ms;
constexpr std::chrono::seconds saving_limit = 60s;
constexpr std::chrono::milliseconds saving_step = 20ms;
constexpr std::uint64_t slowest_disk_bytes_per_s = 20 * MiB;

}  // namespace

/// A sleep on its way to the disk is given up: the machine is there still.
void Fleet::cancel(Entry& entry) {
  if (entry.saving) entry.saving->cancelled = true;
  entry.saving.reset();
}

/// Whoever waits for a program would wait without a word, or lose it. A connection that just ended may still count.
asio::awaitable<Result<>> Fleet::check_unused(EntryPtr entry, Depth depth) {
  const auto deadline = std::chrono::steady_clock::now() + ending_limit;
  while (entry->use.connections > 0 && std::chrono::steady_clock::now() < deadline) co_await pause_for(ending_step);
  const int count = entry->use.connections;
  if (count == 0) co_return Result<>{};
  co_return Error(Error::Kind::busy, "it is in use", way_to_force(depth, entry->record.name),
                  {std::to_string(count) + (count == 1 ? " connection is" : " connections are") +
                   " open: commands, consoles or files on their way"});
}

asio::awaitable<Result<wire::Sprite>> Fleet::sleep(std::string name, Depth depth, IfInUse if_in_use, Wait wait) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  auto done = co_await fall_asleep(entry, depth, if_in_use);
  if (done && depth == Depth::disk && wait == Wait::yes) {
    const bool saved = co_await has_been_saved(entry);
    if (!saved) done = Error(Error::Kind::unavailable, "it is not on the disk", "", {to_wire(*entry).detail});
  }
  if (!done) co_return std::move(done).error().within("cannot put sprite '" + name + "' to sleep");
  co_return to_wire(*entry);
}

asio::awaitable<Result<>> Fleet::fall_asleep(EntryPtr entry, Depth depth, IfInUse if_in_use) {
  const Turns::Turn turn = co_await entry->turns.take("pausing");
  if (entry->phase == Phase::destroyed) co_return no_such_sprite(entry->record.name);
  Result<> done;
  if (depth == Depth::cold) {
    if (if_in_use == IfInUse::refuse) done = co_await check_unused(entry, depth);
    if (done) done = co_await bring_down(entry);
  } else if (entry->machine.on()) {
    if (if_in_use == IfInUse::refuse && entry->phase == Phase::running) done = co_await check_unused(entry, depth);
    if (done) done = co_await pause(entry);
    if (done && depth == Depth::disk) done = co_await send_to_disk(entry);
  }
  co_return done;
}

/// One that has no machine, or is awake again, is not on its way either.
asio::awaitable<bool> Fleet::has_been_saved(EntryPtr entry) {
  const auto limit = saving_limit + std::chrono::seconds(entry->record.memory_bytes / slowest_disk_bytes_per_s);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (entry->saving && std::chrono::steady_clock::now() < deadline) co_await pause_for(saving_step);
  co_return !entry->machine.on();
}

asio::awaitable<Result<>> Fleet::pause(EntryPtr entry) {
  if (entry->phase == Phase::paused) {
    if (std::exchange(entry->stands_still, false)) enter(*entry, Phase::paused);  // it does not go on by itself now
    co_return Result<>{};
  }
  const std::string detail = entry->detail;
  enter(*entry, Phase::pausing);
  auto paused = co_await note_timer(entry);
  if (paused) paused = co_await entry->machine.pause();
  if (paused) {
    enter(*entry, Phase::paused);
  } else {
    enter(*entry, Phase::running, detail);
  }
  co_return paused;
}

/// Returns when all that is left is to copy its memory.
asio::awaitable<Result<>> Fleet::send_to_disk(EntryPtr entry) {
  if (entry->saving) co_return Result<>{};
  CO_TRY_LET(entry->saving, co_await entry->machine.begin_saving());
  entry->stands_still = false;
  enter(*entry, Phase::paused, "paused; its memory is being saved");
  asio::co_spawn(host_.executor(), save_behind(entry, entry->saving),
                 [self = shared_from_this()](std::exception_ptr) {});
  co_return Result<>{};
}

asio::awaitable<void> Fleet::save_behind(EntryPtr entry, std::shared_ptr<Saving> saving) {
  auto done = co_await entry->machine.copy_memory(saving);
  const Turns::Turn turn = co_await entry->turns.take();
  if (entry->saving != saving) co_return;  // it woke, or was ended
  if (done) done = co_await entry->machine.finish_saving(saving);
  entry->saving.reset();
  if (done) {
    enter(*entry, Phase::asleep);
  } else {
    log::warning("'{}' stays in memory: {}", entry->record.name, log::one_line(done.error()));
    enter(*entry, Phase::paused, "paused; its memory could not be saved: " + done.error().what);
  }
}

asio::awaitable<std::optional<Result<>>> Fleet::resume(EntryPtr entry, Room room) {
  if (room == Room::needed) {
    auto found = co_await find_room_to_go_on(entry);
    if (!found) co_return std::optional<Result<>>(std::move(found));
  }
  cancel(*entry);
  auto resumed = co_await entry->machine.resume();
  if (resumed) {
    enter(*entry, Phase::running);
    co_return std::optional<Result<>>(std::move(resumed));
  }
  const bool ended = co_await entry->machine.has_ended();
  if (ended) {
    (void)co_await entry->machine.cut_power();  // what it left behind
    co_return std::optional<Result<>>();
  }
  Error error = std::move(resumed).error();
  error.hint = "run `sprite restart " + entry->record.name + "`";
  co_await enter_as_it_stands(entry, error);
  co_return std::optional<Result<>>(std::move(error));
}

/// Its machine was to go on, and is there; the next touch tries again.
asio::awaitable<void> Fleet::enter_as_it_stands(EntryPtr entry, Error why) {
  const auto state = co_await entry->machine.vm_state();
  const bool stands = state && *state == vm::State::paused;
  enter(*entry, stands ? Phase::paused : Phase::running,
        (stands ? "did not go on: " : "its agent does not answer: ") + why.what);
}

asio::awaitable<Result<>> Fleet::leave_sleep(EntryPtr entry) {
  (void)co_await rouse(entry);  // a guest that does not answer is no obstacle
  if (entry->phase != Phase::asleep) co_return Result<>{};
  auto forget = [entry] { return entry->machine.forget_memory(); };
  CO_TRY(co_await on_pool(host_.pool(), forget));
  enter(*entry, Phase::stopped);
  co_return Result<>{};
}

asio::awaitable<Result<>> Fleet::rouse(EntryPtr entry) {
  if (entry->phase == Phase::paused) co_return co_await bring_up(entry);
  co_return Result<>{};
}

}  // namespace sprite
