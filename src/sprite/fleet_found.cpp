// Fleet: what is found. Sprites and their machines when the daemon starts, and machines that ended by themselves.
#include <limits.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/directory.h"
#include "base/log.h"
#include "sprite/fleet.h"
#include "sprite/hidden_vms.h"
#include "sprite/on_pool.h"
#include "vm/machine_files.h"

namespace sprite {
namespace {

/// What stands for a sprite whose record cannot be read.
Record record_of_damaged(const Path& folder) {
  Record record;
  record.id = folder.filename();
  record.name = "damaged-" + vm::short_id(Host::machine_id(record.id));
  return record;
}

bool is_there(const Path& path) { return ::access(path.c_str(), F_OK) == 0; }

/// The record in a sprite's folder, which must be that sprite's. Errors: as load_record(); corrupt.
Result<Record> own_record(const Path& folder) {
  TRY_LET(Record record, load_record(folder));
  const std::string id = folder.filename();
  if (record.id == id && check_sprite_name(record.name)) return record;
  return Error{Error::Kind::corrupt,
               "the record in '" + folder.string() + "' is not that of a sprite '" + id + "'",
               "",
               {"it says that it is '" + record.id + "' with the name '" + record.name + "'"}};
}

}  // namespace

/// A sprite that is damaged is shown as such; it keeps nobody from the others.
void Fleet::load(const Path& folder) {
  auto record = own_record(folder);
  if (record && entries_.contains(record->name))
    record = Error{Error::Kind::corrupt, "another sprite has its name, '" + record->name + "'"};
  if (record && remove_unborn(folder, *record)) return;
  const bool damaged = !record;
  auto entry = std::make_shared<Entry>(host_, damaged ? record_of_damaged(folder) : *std::move(record));
  while (entries_.contains(entry->record.name)) entry->record.name += "x";  // somebody has the name of a stand-in
  entries_[entry->record.name] = entry;
  if (hidden_vms::is_hidden(host_, entry->machine.vm_id())) entry->record.vm_id.reset();  // it never became its own
  entry->lacks_disk = is_there(host_.vm_dir(entry->machine.vm_id()));
  if (damaged) {
    entry->damage = std::move(record).error().within("its record cannot be read");
    entry->damage->hint = "put '" + folder.string() +
                          "' right and run `sprite daemon restart`, or give it up: `sprite destroy -s " +
                          entry->record.name + "`";
    entry->detail = entry->damage->what;
    return;
  }
  if (const auto tidied = entry->machine.forget_memory_remnants(); !tidied)
    log::warning("ignoring what is left of a sleep of '{}': {}", entry->record.name, log::one_line(tidied.error()));
  entry->timer_on_disk = entry->record.wakes_at.has_value();
  if (entry->machine.has_memory()) entry->phase = Phase::asleep;
  set_waker(*entry);
  if (!entry->lacks_disk) return;
  if (const auto served = entry->machine.serve_disk(); served) {
    entry->lacks_disk = false;
    entry->phase = Phase::found;  // until we know whether its machine lives
  } else {
    entry->detail = "its disk cannot be served: " + log::one_line(served.error());
  }
}

/// A clone that an earlier daemon did not live to hand out: its memory ends with its hidden VM, so all of it goes.
bool Fleet::remove_unborn(const Path& folder, const Record& record) {
  if (!record.born_in || !hidden_vms::is_hidden(host_, *record.born_in)) return false;
  const Path doomed = host_.sprites_dir() / (".gone-" + record.id);
  Result<> removed;
  if (::rename(folder.c_str(), doomed.c_str()) != 0) removed = system_error("cannot rename '" + folder.string() + "'");
  if (removed) removed = remove_tree(doomed);  // else the next start does
  if (removed) removed = remove_tree(host_.volume_dir(record.id));
  if (!removed) log::warning("ignoring '{}': {}", record.name, log::one_line(removed.error()));
  log::info("sprite '{}' was being made with another's memory, and is gone", record.name);
  return true;
}

/// Whether every daemon that ever used this runtime directory had our data: then what lies there is ours, too.
bool Fleet::is_ours_alone() const {
  const Path note = host_.options().runtime_dir / "data_dir";
  const std::string ours = host_.options().data_dir.string();
  const auto noted = read_file(note, PATH_MAX);
  if (noted && *noted == ours) return true;
  const bool first = !noted && entries_of(host_.vms_dir()).empty();
  const auto written = write_file_atomically(note, first ? ours : "several");
  return first && written;
}

/// What earlier daemons did not live to make or to remove. Those that are made from now on have other names.
std::vector<Path> Fleet::find_strays() const {
  if (!is_ours_alone()) return {};
  std::vector<Path> strays = entries_of(host_.vms_dir());
  std::erase_if(strays, [&](const Path& folder) {
    const auto is_of = [&](const std::string& vm_id) { return host_.vm_dir(vm_id) == folder; };
    return std::ranges::any_of(left_over_, is_of) || std::ranges::any_of(entries_, [&](const auto& each) {
             return is_of(each.second->machine.vm_id()) || host_.volume_dir(each.second->record.id) == folder;
           });
  });
  return strays;
}

asio::awaitable<void> Fleet::remove_strays() {
  auto remove = [strays = std::exchange(strays_, {})]() -> Result<> {
    Result<> first;
    for (const Path& folder : strays) {
      if (vm::process_lives(folder)) continue;
      auto removed = remove_tree(folder);
      if (first) first = std::move(removed);
    }
    return first;
  };
  const auto removed = co_await on_pool(host_.pool(), remove);
  if (!removed) log::warning("ignoring: {}", log::one_line(removed.error()));  // the next daemon tries again
}

asio::awaitable<void> Fleet::go_on_with_machines() {
  std::vector<std::pair<EntryPtr, std::shared_ptr<Turns::Turn>>>
      served;  // their turns, so that nobody comes in between
  for (const auto& [name, entry] : entries_) {
    if (!entry->machine.on()) continue;
    Turns::Turn turn = co_await entry->turns.take();
    served.emplace_back(entry, std::make_shared<Turns::Turn>(std::move(turn)));
  }
  auto list = [](vm::Hypervisor& machines) { return machines.list(); };
  auto ids = co_await host_.with_hypervisor("listing the machines", list);
  if (!ids) co_return;  // the next action meets and tells the same error
  for (auto& [entry, turn] : served) {
    const bool there = std::ranges::find(*ids, entry->machine.vm_id()) != ids->end();
    auto go_on = [](std::shared_ptr<Fleet> self, EntryPtr its_entry, bool is_there,
                    std::shared_ptr<Turns::Turn>) -> asio::awaitable<void> {
      co_await self->go_on_with(its_entry, is_there);
    };
    asio::co_spawn(host_.executor(), go_on(shared_from_this(), entry, there, turn), asio::detached);
  }
  served.clear();
  for (const std::string& id : left_over_) co_await end_machine(id);
  co_await end_machines_of_nobody();
}

asio::awaitable<void> Fleet::end_machine(std::string id) {
  auto end = [this, id](vm::Hypervisor& machines) { return hidden_vms::end(host_, machines, id); };
  const auto ended = co_await host_.with_hypervisor("ending a machine", end);
  if (!ended) log::warning("ignoring: {}", log::one_line(ended.error()));  // the next daemon tries again
}

/// Any of them may be that of a damaged sprite: as long as there is one, they are left alone.
asio::awaitable<void> Fleet::end_machines_of_nobody() {
  if (std::ranges::any_of(entries_, [](const auto& each) { return each.second->damage.has_value(); })) co_return;
  auto list = [](vm::Hypervisor& machines) { return machines.list(); };
  const auto ids = co_await host_.with_hypervisor("listing the machines", list);
  if (!ids) log::warning("machines of nobody may be left: {}", log::one_line(ids.error()));
  if (!ids) co_return;
  for (const std::string& id : *ids)
    if (!sprite_in(id) && !hidden_vms::is_hidden(host_, id)) co_await end_machine(id);
  co_await remove_strays();
}

/// Null if no sprite runs in it.
Fleet::EntryPtr Fleet::sprite_in(const std::string& vm_id) const {
  const auto found =
      std::ranges::find_if(entries_, [&](const auto& each) { return each.second->machine.vm_id() == vm_id; });
  return found == entries_.end() ? nullptr : found->second;
}

asio::awaitable<void> Fleet::go_on_with(EntryPtr entry, bool there) {
  if (!there) {
    co_await entry->machine.let_go();
    if (entry->machine.has_memory()) {
      enter(*entry, Phase::asleep);
    } else {
      enter(*entry, Phase::stopped, "its machine was gone when the daemon started");
    }
    co_return;
  }
  const auto state = co_await entry->machine.vm_state();
  const bool saved = entry->machine.has_memory();
  if (state && (*state == vm::State::waiting || (*state == vm::State::paused && saved))) {
    (void)co_await entry->machine.cut_power();  // it never ran since its memory was saved
    enter(*entry, saved ? Phase::asleep : Phase::stopped);
    co_return;
  }
  if (state && *state == vm::State::paused && entry->machine.is_being_copied()) {
    enter(*entry, Phase::paused);
    const auto resumed = co_await resume(entry, Room::regardless);
    if (!resumed) enter(*entry, Phase::stopped, "its machine ended while its memory was copied");
    co_return;
  }
  if (state && *state == vm::State::paused) {
    entry->stands_still = entry->machine.stands_still();
    enter(*entry, Phase::paused, entry->stands_still ? "stands still: memory was short" : "");
    co_return;
  }
  if (auto adopted = co_await entry->machine.adopt(); adopted) {
    enter(*entry, Phase::running);
  } else {
    enter(*entry, Phase::running, "its agent does not answer: " + adopted.error().what);
  }
}

asio::awaitable<void> Fleet::machine_ended(std::string id, std::string reason) {
  const EntryPtr entry = sprite_in(id);
  if (!entry) {
    co_await blanks_.ended(std::move(id));
    co_return;
  }
  const Turns::Turn turn = co_await entry->turns.take();
  if (!entry->machine.on() || entry->machine.vm_id() != id) co_return;  // we ended it, or it is in another by now
  auto look = [id](vm::Hypervisor& machines) { return machines.state(id); };
  const auto state = co_await host_.with_hypervisor("looking at the machine", look);
  if (!state || *state != vm::State::absent) co_return;  // started again meanwhile
  cancel(*entry);
  (void)co_await entry->machine.cut_power();  // its memory file and sockets
  enter(*entry, Phase::stopped, "ended by itself: " + reason);
}

}  // namespace sprite
