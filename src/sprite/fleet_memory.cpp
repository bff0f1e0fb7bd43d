// Fleet: a sprite that goes on with another's memory.
//
// Order, of a source that runs: a VM without memory is there, hidden; programs of the source stand still; its
// processors do; its state is saved; RAM is copied into that VM's, and the disk forked meanwhile, into the clone's
// folder; the source goes on. Then the clone loads the state, is told who it is while its programs still stand still,
// and is handed out: it is hidden no more, and programs go on. A daemon that is killed before that leaves a hidden VM,
// which the next one ends, and a folder whose record names it (Record::born_in), which goes as well.
#include <boost/asio/co_spawn.hpp>

#include "base/directory.h"
#include "base/log.h"
#include "sprite/checkpoints.h"
#include "sprite/filesystem.h"
#include "sprite/fleet.h"
#include "sprite/on_pool.h"

namespace sprite {
namespace {

using Clock = std::chrono::steady_clock;

std::int64_t milliseconds_since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin).count();
}

Error has_no_memory(const std::string& name, const std::string& checkpoint) {
  return Error{Error::Kind::invalid,
               "checkpoint '" + checkpoint + "' of sprite '" + name + "' has no memory to begin with",
               "leave out --memory; `sprite checkpoint create --memory` makes one that has",
               {}};
}

Error has_no_memory(const std::string& name) {
  return Error{Error::Kind::invalid,
               "sprite '" + name + "' does not run, so it has no memory",
               "leave out --memory, or start it before: `sprite start " + name + "`",
               {}};
}

}  // namespace

asio::awaitable<Result<>> Fleet::clone(EntryPtr entry, std::string from) {
  const auto begin = Clock::now();
  const auto blank = std::make_shared<Blank>();
  const auto given_up = std::make_shared<std::atomic<bool>>(false);
  auto up = co_await copy_source(entry, from, blank, given_up);
  if (!up) {
    *given_up = true;
    if (!blank->vm_id.empty()) co_await blanks_.discard(std::move(*blank));
    co_return up;
  }
  enter(*entry, Phase::starting);
  const Path state = host_.vm_dir(blank->vm_id) / "state";
  up = co_await entry->machine.power_on_as_clone(std::move(*blank), state);
  if (!up) co_return up;
  log::info("sprite '{}' went on with the memory of '{}' in {} ms", entry->record.name, from,
            milliseconds_since(begin));
  enter(*entry, Phase::running);
  auto ignored = [self = shared_from_this()](std::exception_ptr) {};
  asio::co_spawn(host_.executor(), prepare_for_next(kind_of(entry->record), BlankFor::wake), ignored);
  co_return up;
}

/// A copy that took too long may come to this when its sprite is no more, and its name perhaps another's: then nothing
/// stays of it.
Result<> Fleet::make_folder_unless(const std::atomic<bool>& given_up, const Record& record, const MakeDisk& make_disk) {
  const Error late{Error::Kind::busy, "the copy was given up"};
  if (given_up) return late;
  TRY(make_folder(record, make_disk));
  if (!given_up) return {};
  TRY(remove_tree(host_.sprite_dir(record.id)));
  return late;
}

/// Memory and disk of the source, as of one instant; `into` becomes the VM that has the memory, as soon as it is there.
asio::awaitable<Result<>> Fleet::copy_source(EntryPtr entry, std::string from, std::shared_ptr<Blank> into,
                                             std::shared_ptr<const std::atomic<bool>> given_up) {
  const auto [name, id] = parse_source(from);
  CO_TRY_LET(const Claim claimed, co_await claim(name, "fork"));
  const EntryPtr source = claimed.entry;
  const bool lives = source->phase == Phase::running || source->phase == Phase::paused;
  std::optional<store::Checkpoint> checkpoint;
  if (!id.empty()) {
    CO_TRY_LET(const store::History all, co_await history(source));
    CO_TRY_LET(checkpoint, find_checkpoint(all, id));
    if (!source->machine.has_memory(id)) co_return has_no_memory(name, id);
  } else if (!lives && source->phase != Phase::asleep) {
    co_return has_no_memory(name);
  }
  take_sleep_settings(entry->record, source->record);
  std::function<Result<std::uint64_t>(store::Volume&)> size = [](store::Volume& volume) {
    return Result<std::uint64_t>(volume.size_bytes());
  };
  CO_TRY_LET(const std::uint64_t disk_bytes, co_await source->machine.with_volume<std::uint64_t>(std::move(size)));
  CO_TRY_LET(*into, co_await take_empty_blank(entry, disk_bytes));
  entry->record.vm_id = entry->record.born_in = into->vm_id;
  const MemoryCopy to{host_.vm_dir(into->vm_id) / "state", host_.memory_file(into->vm_id)};
  const std::optional<std::int64_t> number = checkpoint ? std::optional(checkpoint->number) : std::nullopt;
  std::function<Result<>(store::Volume&)> fork_disk = [this, entry, number, given_up](store::Volume& volume) {
    const auto fork = [&](const Path& folder, store::FillDatabase rows) {
      return volume.fork(folder, number, std::move(rows));
    };
    return make_folder_unless(*given_up, entry->record, fork);
  };
  if (lives && !checkpoint) co_return co_await copy_living(source, to, std::move(fork_disk));
  co_return co_await copy_saved(source, checkpoint, to, std::move(fork_disk));
}

asio::awaitable<Result<Blank>> Fleet::take_empty_blank(EntryPtr entry, std::uint64_t disk_bytes) {
  const TemplateKind kind = kind_of(entry->record);
  const auto of = co_await templates_.find(kind);
  std::optional<Blank> waiting;
  if (of && of->disk->size_bytes() == disk_bytes) waiting = blanks_.take_waiting(of, BlankFor::wake);
  if (waiting) co_return co_await blanks_.empty(*std::move(waiting));
  co_await make_room_for(entry);
  co_return co_await blanks_.make_empty(kind, disk_bytes);
}

asio::awaitable<Result<>> Fleet::while_paused(EntryPtr entry, std::function<asio::awaitable<Result<>>()> work) {
  const bool runs = entry->phase == Phase::running;
  if (entry->saving) {
    cancel(*entry);  // what is copied now goes by another pause
    enter(*entry, Phase::paused);
  }
  const auto begin = Clock::now();
  if (runs) {
    CO_TRY(entry->machine.mark_copying());
    auto paused = co_await entry->machine.pause(IfSilent::refuse);
    if (!paused) {
      entry->machine.unmark_copying();
      co_return paused;
    }
  }
  auto done = co_await work();
  if (!runs) co_return done;
  const auto resumed = co_await resume(entry, Room::regardless);  // it ran, and its memory is there
  if (!resumed) enter(*entry, Phase::stopped, "its machine ended while its memory was copied");
  log::info("sprite '{}' stood still for at most {} ms, while its memory was copied", entry->record.name,
            milliseconds_since(begin));
  co_return done;
}

asio::awaitable<Result<>> Fleet::copy_living(EntryPtr source, MemoryCopy to,
                                             std::function<Result<>(store::Volume&)> fork_disk) {
  std::function<asio::awaitable<Result<>>()> copy = [source, to, fork_disk] {
    return source->machine.copy_memory_to(to, fork_disk);
  };
  co_return co_await while_paused(source, std::move(copy));
}

asio::awaitable<Result<store::Checkpoint>> Fleet::checkpoint_with_memory(EntryPtr entry, std::string comment) {
  if (entry->phase == Phase::asleep) {
    CO_TRY(co_await bring_up(entry));
  }
  if (entry->phase != Phase::running && entry->phase != Phase::paused) co_return has_no_memory(entry->record.name);
  const auto made = std::make_shared<std::optional<store::Checkpoint>>();
  const auto saved = std::make_shared<std::shared_ptr<Saving>>();
  std::function<Result<store::Checkpoint>(store::Volume&)> keep_disk =
      [made, comment](store::Volume& volume) -> Result<store::Checkpoint> {
    TRY_LET(const store::Consistency consistency, consistency_of(volume));
    TRY_LET(*made, volume.checkpoint(comment, store::Automatic::no, consistency));
    return **made;
  };
  auto save = [](EntryPtr of, auto keep, auto into) -> asio::awaitable<Result<>> {
    CO_TRY_LET(*into, co_await of->machine.begin_checkpoint(keep));
    co_return Result<>{};
  };
  std::function<asio::awaitable<Result<>>()> work = [entry, save, keep_disk, saved] {
    return save(entry, keep_disk, saved);
  };
  auto done = co_await while_paused(entry, std::move(work));
  if (done) done = co_await entry->machine.finish_checkpoint(*saved, **made);
  if (done) co_return **made;
  if (*made) {  // one without memory is not what was asked for
    std::function<Result<>(store::Volume&)> remove = [number = (*made)->number](store::Volume& volume) {
      return volume.remove_checkpoint(number);
    };
    (void)co_await entry->machine.with_volume<void>(std::move(remove));
  }
  co_return std::move(done).error();
}

/// Of a checkpoint, or without one of a sprite that is asleep.
asio::awaitable<Result<>> Fleet::copy_saved(EntryPtr source, std::optional<store::Checkpoint> checkpoint, MemoryCopy to,
                                            std::function<Result<>(store::Volume&)> fork_disk) {
  std::function<Result<std::string>(store::Volume&)> fork =
      [fork_disk = std::move(fork_disk)](store::Volume& volume) -> Result<std::string> {
    TRY_LET(const auto instant, volume.instant());
    TRY(fork_disk(volume));
    return instant.value_or("");
  };
  CO_TRY_LET(std::string disk, co_await source->machine.with_volume<std::string>(std::move(fork)));
  Path memory = source->machine.memory_directory();
  if (checkpoint) {
    memory = source->machine.checkpoint_memory(name_of(*checkpoint));
    disk = checkpoint->instant;
  }
  auto copied = co_await source->machine.copy_saved_to(std::move(to), std::move(memory), std::move(disk));
  if (copied || copied.error().kind != Error::Kind::corrupt) co_return copied;
  Error error = std::move(copied).error().within("the saved memory of '" + source->record.name + "' cannot be used");
  error.hint = "leave out --memory: the disk is whole, and the new sprite boots from it";
  co_return error;
}

}  // namespace sprite
