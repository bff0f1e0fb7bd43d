// Fleet: checkpoints of a sprite and going back to them.
#include "base/log.h"
#include "sprite/checkpoints.h"
#include "sprite/filesystem.h"
#include "sprite/fleet.h"
#include "sprite/on_pool.h"

namespace sprite {
namespace {

constexpr std::size_t comment_bytes_max = 4096;

std::string with_name(std::string_view doing, const std::string& name) {
  return "cannot " + std::string(doing) + " sprite '" + name + "'";
}

/// A checkpoint as lists show it.
wire::Checkpoint listed(const store::History& all, const store::Checkpoint& checkpoint) {
  for (wire::Checkpoint& each : list_of(all))
    if (each.id == name_of(checkpoint)) return std::move(each);
  return {};
}

/// Whether programs could be brought back is not known, so they are not given up.
Error memory_not_read(const std::string& name, const std::string& checkpoint, Error error) {
  error.hint = "again, or take its disk alone: `sprite fork " + name + " NEW --checkpoint " + checkpoint + "`";
  return std::move(error).within("the memory of checkpoint '" + checkpoint + "' cannot be looked at");
}

}  // namespace

std::string Fleet::going_on(const std::string& name) const {
  const auto entry = find(name);
  const auto what = entry ? (*entry)->turns.under_way() : std::nullopt;
  return what && what->empty() ? "last use" : what.value_or("");
}

asio::awaitable<Result<Fleet::Claim>> Fleet::claim(std::string name, std::string what) {
  CO_TRY_LET(EntryPtr entry, find(name));
  Turns::Turn turn = co_await entry->turns.take(std::move(what));
  if (entry->phase == Phase::destroyed) co_return no_such_sprite(name);
  if (entry->damage) co_return *entry->damage;
  touch(*entry);
  Claim claimed{std::move(entry), std::move(turn)};
  co_return claimed;
}

asio::awaitable<Result<store::History>> Fleet::history(EntryPtr entry) {
  auto read = [folder = host_.sprite_dir(entry->record.id)] { return store::read_history(folder); };
  co_return co_await on_pool(host_.pool(), read);
}

asio::awaitable<Result<>> Fleet::check_room_for_checkpoint(std::string name) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  if (entry->damage) co_return *entry->damage;
  CO_TRY_LET(const store::History all, co_await history(entry));
  co_return check_room(all, name);
}

asio::awaitable<Result<Checkpointed>> Fleet::checkpoint(std::string name, wire::CheckpointRequest request) {
  const std::string comment = request.comment.value_or("");
  if (comment.size() > comment_bytes_max) {
    co_return Error(Error::Kind::invalid, "a comment may have at most 4096 bytes");
  }
  if (!is_one_line(comment)) {
    co_return Error(Error::Kind::invalid, "a comment is one line of text, without control characters");
  }
  CO_TRY_LET(const Claim claimed, co_await claim(name, "checkpoint"));
  CO_TRY(co_await rouse(claimed.entry));
  CO_TRY_LET(const store::History before, co_await history(claimed.entry));
  CO_TRY(check_room(before, name));
  Checkpointed made;
  Result<store::Checkpoint> done = Error{};
  if (request.memory.value_or(false)) {
    done = co_await checkpoint_with_memory(claimed.entry, comment);
  } else {
    done = co_await checkpoint_of_disk(claimed.entry, comment, made.note);
  }
  if (!done) co_return std::move(done).error().within(with_name("make a checkpoint of", name));
  CO_TRY_LET(const store::History all, co_await history(claimed.entry));
  claimed.entry->machine.show_checkpoints(shown_of(all));
  made.checkpoint = listed(all, *done);
  if (claimed.entry->machine.has_memory(made.checkpoint.id)) made.checkpoint.memory = true;
  log::info("sprite '{}' has a new checkpoint, {}{}", name, made.checkpoint.id,
            made.checkpoint.memory ? ", with its memory" : "");
  co_return made;
}

asio::awaitable<Result<store::Checkpoint>> Fleet::checkpoint_of_disk(EntryPtr entry, std::string comment,
                                                                     std::string& note) {
  std::function<Result<store::Checkpoint>(store::Volume&)> work =
      [comment](store::Volume& volume) -> Result<store::Checkpoint> {
    TRY_LET(const store::Consistency consistency, consistency_of(volume));
    return volume.checkpoint(comment, store::Automatic::no, consistency);
  };
  auto made = co_await entry->machine.at_rest<store::Checkpoint>(std::move(work), note);
  const bool sleeps = entry->phase == Phase::asleep;
  if (made && sleeps && note.empty() && made->consistency == store::Consistency::crash)
    note = "it sleeps, so this is its disk as after a loss of power; awake, it would have written first";
  co_return made;
}

asio::awaitable<Result<std::vector<wire::Checkpoint>>> Fleet::checkpoints(std::string name) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  auto read = [folder = host_.sprite_dir(entry->record.id), entry]() -> Result<std::vector<wire::Checkpoint>> {
    TRY_LET(const store::History all, store::read_history(folder));
    std::vector<wire::Checkpoint> list = list_of(all);
    for (wire::Checkpoint& each : list)
      if (entry->machine.has_memory(each.id)) each.memory = true;
    return list;
  };
  co_return co_await on_pool(host_.pool(), read);
}

asio::awaitable<Result<>> Fleet::remove_checkpoint(std::string name, std::string id) {
  CO_TRY_LET(const Claim claimed, co_await claim(name, "deletion of a checkpoint"));
  CO_TRY_LET(store::History all, co_await history(claimed.entry));
  CO_TRY_LET(const store::Checkpoint target, find_checkpoint(all, id));
  if (all.current == target.number) {
    co_return Error(Error::Kind::busy, "cannot delete checkpoint '" + id + "': sprite '" + name + "' is based on it",
                    "make another checkpoint first");
  }
  std::function<Result<>(store::Volume&)> work = [number = target.number, claimed_entry = claimed.entry,
                                                  id](store::Volume& volume) -> Result<> {
    TRY(claimed_entry->machine.forget_memory(id));  // first: what is listed with memory has it
    return volume.remove_checkpoint(number);
  };
  CO_TRY(co_await claimed.entry->machine.with_volume<void>(std::move(work)));
  std::erase_if(all.entries, [&](const auto& each) { return each.checkpoint.number == target.number; });
  claimed.entry->machine.show_checkpoints(shown_of(all));
  log::info("sprite '{}' lost checkpoint {}, as was asked for", name, id);
  co_return Result<>{};
}

asio::awaitable<Result<Comparing>> Fleet::compare(std::string name, std::string from, std::string to) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  CO_TRY_LET(const store::History all, co_await history(entry));
  CO_TRY_LET(wire::DifferenceRequest request, difference_between(all, from, to));
  CO_TRY_LET(Stream agent, co_await connect(name));
  Comparing comparing{std::move(agent), std::move(request)};
  co_return comparing;
}

asio::awaitable<Result<Checkpointed>> Fleet::restore(std::string name, std::string id) {
  CO_TRY_LET(const Claim claimed, co_await claim(name, "restore"));
  const EntryPtr entry = claimed.entry;
  CO_TRY_LET(const store::History before, co_await history(entry));
  CO_TRY_LET(const store::Checkpoint target, find_checkpoint(before, id));
  const bool was_on = entry->machine.on();
  auto restored = co_await put_back(entry, target);
  if (!restored) {
    Error error = std::move(restored).error().within(with_name("restore", name) + " to '" + id + "'");
    if (was_on && !entry->machine.on()) enter(*entry, Phase::stopped, error.what);
    co_return error;
  }
  CO_TRY_LET(const store::History after, co_await history(entry));
  Checkpointed done;
  done.note = std::move(restored->note);
  done.programs_too = restored->programs_too;
  done.checkpoint = listed(after, restored->before);
  log::info("sprite '{}' is restored to {}; what it was is kept as {}", name, id, done.checkpoint.id);
  co_return done;
}

/// Whether there is space for what a restore writes itself, before it ends programs.
Result<> Fleet::check_host_space() const {
  constexpr std::uint64_t least = 16 * MiB;
  std::error_code failed;
  const auto space = std::filesystem::space(host_.sprites_dir(), failed);
  if (failed || space.available >= least) return {};
  return Error{Error::Kind::no_space,
               "'" + host_.sprites_dir().string() + "' has only " + format_size(space.available) + " left",
               "free some space there: a restore takes " + format_size(least),
               {}};
}

/// Disk, and memory where the checkpoint has some that can be used. One that had a machine has one again.
asio::awaitable<Result<Restored>> Fleet::put_back(EntryPtr entry, store::Checkpoint target) {
  const std::string id = name_of(target);
  Result<> with_memory;
  const bool has_memory = entry->machine.has_memory(id);
  if (has_memory) with_memory = co_await entry->machine.check_checkpoint_memory(target);
  if (!with_memory && with_memory.error().kind != Error::Kind::corrupt) {
    co_return memory_not_read(entry->record.name, id, std::move(with_memory).error());
  }
  CO_TRY(check_host_space());
  CO_TRY(co_await leave_sleep(entry));
  const bool was_on = entry->machine.on();
  if (!has_memory || !with_memory) {
    CO_TRY_LET(Restored restored, co_await entry->machine.restore(target.number));
    if (was_on) enter(*entry, Phase::running);
    if (!with_memory) restored.note += "its programs are not brought back: " + log::one_line(with_memory.error());
    co_return restored;
  }
  CO_TRY_LET(Restored restored, co_await entry->machine.restore_asleep(target));
  restored.programs_too = entry->machine.has_memory();
  enter(*entry, restored.programs_too ? Phase::asleep : Phase::stopped);
  if (!was_on) co_return restored;
  CO_TRY(co_await bring_up(entry));
  if (restored.note.empty()) restored.note = entry->detail;  // why its memory was not used
  restored.programs_too = restored.note.empty();
  co_return restored;
}

asio::awaitable<Result<FilesystemChecked>> Fleet::check_filesystem(std::string name) {
  CO_TRY_LET(const Claim claimed, co_await claim(name, "check of the filesystem"));
  const EntryPtr entry = claimed.entry;
  CO_TRY(co_await leave_sleep(entry));
  const bool was_on = entry->machine.on();
  enter(*entry, Phase::starting, "its filesystem is being checked");
  auto checked = co_await entry->machine.check_filesystem();
  const bool runs = was_on && entry->machine.on();
  if (!checked) {
    Error error = std::move(checked).error().within(with_name("check the filesystem of", name));
    enter(*entry, entry->machine.on() ? Phase::running : Phase::stopped, error.what);
    co_return error;
  }
  enter(*entry, runs ? Phase::running : Phase::stopped);
  CO_TRY_LET(const store::History all, co_await history(entry));
  FilesystemChecked done;
  done.check = std::move(checked->check);
  done.before = listed(all, checked->before);
  log::info("sprite '{}' had its filesystem checked (e2fsck: {}); what it was is kept as {}", name,
            done.check.exit_status, done.before.id);
  co_return done;
}

}  // namespace sprite
