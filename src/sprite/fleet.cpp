#include "sprite/fleet.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "base/directory.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/text.h"
#include "sprite/hidden_vms.h"
#include "sprite/on_pool.h"
#include "vm/machine_files.h"
#include "wire/activity.h"

namespace sprite {
namespace {

constexpr std::uint64_t memory_min_bytes = 256 * MiB, memory_max_bytes = 1024 * GiB;
constexpr unsigned vcpus_max = 64;

std::string now() { return format_time(std::chrono::system_clock::now()); }

std::string_view status_of(Phase phase) {
  if (phase == Phase::destroyed) return "destroyed";
  if (phase == Phase::paused || phase == Phase::asleep || phase == Phase::waking)
    return "warm";  // programs are as they were
  if (phase == Phase::running || phase == Phase::found || phase == Phase::pausing || phase == Phase::stopping)
    return "running";
  return "cold";
}

std::string_view word_for(Phase phase) {
  switch (phase) {
    case Phase::creating: return "being created";
    case Phase::found: return "its agent is being reached";
    case Phase::starting: return "starting";
    case Phase::stopping: return "stopping";
    case Phase::pausing: return "falling asleep";
    case Phase::paused: return "paused";
    case Phase::asleep: return "asleep, memory on disk";
    case Phase::waking: return "waking";
    case Phase::destroyed:
    case Phase::stopped:
    case Phase::running: return "";
  }
  return "";
}

/// A locally administered unicast address.
std::string random_mac_address() {
  const std::string digits = to_hex(random_bytes(3));
  return "52:54:00:" + digits.substr(0, 2) + ":" + digits.substr(2, 2) + ":" + digits.substr(4, 2);
}

/// "default" makes it that of the settings. Errors: invalid.
Result<> set_sleep_time(std::optional<std::string>& own, const std::optional<std::string>& wanted) {
  if (!wanted) return {};
  own.reset();
  if (*wanted == "default") return {};
  TRY(parse_sleep_time(*wanted));
  own = wanted;
  return {};
}

Result<> check_labels(const std::vector<std::string>& labels) {
  if (std::ranges::all_of(labels, is_one_line)) return {};
  return Error{Error::Kind::invalid, "a label is one line of text, without control characters"};
}

Result<> check_environment(const std::map<std::string, std::string>& environment) {
  for (const auto& [name, value] : environment)
    if (name.empty() || name.find_first_of(std::string_view("=\0", 2)) != std::string::npos ||
        value.find('\0') != std::string::npos)
      return Error{Error::Kind::invalid, "a variable of the environment has a name, without '=', and no zero byte"};
  return {};
}

void report_collected(const Result<store::Collected>& collected) {
  if (!collected)
    log::warning("cannot collect what no sprite needs: {}", log::one_line(collected.error()));
  else if (collected->packs_removed > 0)
    log::info("gave back {} that no sprite needed", format_size(collected->bytes_removed));
}

}  // namespace

Error no_such_sprite(const std::string& name) {
  return Error{Error::Kind::not_found, "no sprite is called '" + name + "'", "run `sprite list` to see the names", {}};
}

Result<std::shared_ptr<Sprites>> open_sprites(asio::any_io_executor executor, const SpritesOptions& options) {
  auto fleet = std::make_shared<Fleet>(std::move(executor), options);
  TRY(fleet->open());
  return std::shared_ptr<Sprites>(std::move(fleet));
}

Fleet::Fleet(asio::any_io_executor executor, SpritesOptions options)
    : host_(std::move(executor), std::move(options)), started_at_(now()) {}

Result<> Fleet::open() {
  TRY(make_private_directory(host_.options().memory_dir));
  TRY(make_directories(host_.sprites_dir()));
  TRY(make_directories(host_.vms_dir()));
  TRY(templates_.open());
  TRY_LET(left_over_, hidden_vms::all(host_));
  TRY_LET(const std::vector<Path> folders, list_directory(host_.sprites_dir()));
  for (const Path& folder : folders) {
    const std::string id = folder.filename();
    if (id.starts_with(Host::sprite_id_prefix)) load(folder);
    if (!id.starts_with(".")) continue;
    if (const auto removed = remove_tree(folder); !removed)
      log::warning("ignoring '{}': {}", folder.string(), log::one_line(removed.error()));
  }
  strays_ = find_strays();
  host_.on_ended([weak = weak_from_this(), executor = host_.executor()](std::string id, std::string reason) {
    if (auto self = weak.lock())
      asio::co_spawn(executor, self->machine_ended(std::move(id), std::move(reason)), [self](std::exception_ptr) {});
  });
  watch_clock();
  pack_upkeep_.emplace(host_.packs(), volumes(), report_collected);
  asio::co_spawn(host_.executor(), go_on_with_machines(), [self = shared_from_this()](std::exception_ptr) {});
  return {};
}

Result<Fleet::EntryPtr> Fleet::find(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return no_such_sprite(name);
  return found->second;
}

/// What a sprite has become, a line each; what it is on its way to is not told.
void Fleet::log_change(const Entry& entry, Phase before) const {
  const bool passing = entry.phase == Phase::creating || entry.phase == Phase::starting ||
                       entry.phase == Phase::waking || entry.phase == Phase::pausing || entry.phase == Phase::stopping;
  if (entry.phase == before || passing) return;
  const std::string detail = entry.detail.empty() ? std::string(word_for(entry.phase)) : entry.detail;
  log::info("sprite '{}' is {}{}{}", entry.record.name, status_of(entry.phase), detail.empty() ? "" : ": ", detail);
}

void Fleet::enter(Entry& entry, Phase phase, std::string detail) {
  const Phase before = std::exchange(entry.phase, phase);
  if (phase != Phase::paused) entry.stands_still = false;
  if (entry.machine.on()) watch_memory();
  entry.detail = std::move(detail);
  log_change(entry, before);
  if (phase == Phase::running || before == Phase::running || before == Phase::stopping) note_running(entry);
  if (phase == Phase::running || phase == Phase::stopped) {
    entry.record.timer_due_at.reset();
    entry.record.wakes_at.reset();
  }
  set_waker(entry);
  if (phase != before) {
    touch(entry);
  } else {
    set_alarm(entry);
  }
  const wire::Sprite changed = to_wire(entry);
  const auto watchers = watchers_;  // a watcher may end itself
  for (const auto& [number, watcher] : watchers) watcher(changed);
}

/// Written behind: nobody waits for it, and close() does.
void Fleet::note_running(Entry& entry) {
  entry.record.last_running_at = now();
  if (entry.phase == Phase::destroyed) return;
  asio::post(host_.pool(), [folder = host_.sprite_dir(entry.record.id), time = *entry.record.last_running_at] {
    (void)save_last_running(folder, time);  // the next change of state will
  });
}

asio::awaitable<void> Fleet::measure_disks() {
  constexpr auto good_for = std::chrono::seconds(1);
  if (measured_ && std::chrono::steady_clock::now() - *measured_ < good_for) co_return;
  measured_ = std::chrono::steady_clock::now();
  std::vector<EntryPtr> all;
  std::vector<Path> folders;
  for (const auto& [name, entry] : entries_) {
    all.push_back(entry);
    folders.push_back(host_.sprite_dir(entry->record.id) / "layers");
  }
  auto measure = [folders]() -> Result<std::vector<std::uint64_t>> {
    std::vector<std::uint64_t> used;
    for (const Path& folder : folders) used.push_back(bytes_on_disk(folder));
    return used;
  };
  const auto used = co_await on_pool(host_.pool(), measure);
  for (std::size_t i = 0; used && i < all.size(); ++i) all[i]->disk_used_bytes = (*used)[i];
}

wire::Sprite Fleet::to_wire(const Entry& entry) const {
  const Record& record = entry.record;
  wire::Sprite shown;
  shown.id = record.id;
  shown.name = record.name;
  shown.organization = "local";
  shown.url_settings = record.url_settings;
  shown.status = status_of(entry.phase);
  shown.created_at = record.created_at;
  shown.updated_at = record.updated_at;
  shown.last_running_at = record.last_running_at;
  shown.version = shown.environment_version = SPRITE_VERSION;
  shown.labels = record.labels;
  shown.config.ram_mb = record.memory_bytes / MiB;
  shown.config.cpus = record.vcpus;
  shown.config.storage_gb = 100;
  shown.environment = record.environment;
  shown.image = record.image_name + "@" + record.image;
  shown.detail = entry.detail.empty() ? std::string(word_for(entry.phase)) : entry.detail;
  const bool out_of_reach =
      (entry.phase == Phase::running || entry.phase == Phase::stopping) && !entry.machine.reachable();
  const bool may_say = entry.detail.empty() || entry.detail.starts_with(wire::booted_anew);
  if (out_of_reach && may_say) shown.detail = wire::out_of_reach;  // it has ended, or waits for the next touch
  if (entry.machine.waits_for_space())
    shown.detail = "its writes wait: there is no space left in '" + host_.options().data_dir.string() + "'";
  shown.disk_used_bytes = entry.disk_used_bytes;
  describe_sleep(entry, shown);
  return shown;
}

Result<wire::Sprite> Fleet::get(const std::string& name) const {
  TRY_LET(const EntryPtr entry, find(name));
  return to_wire(*entry);
}

std::vector<wire::Sprite> Fleet::list() const {
  std::vector<wire::Sprite> all;
  for (const auto& [name, entry] : entries_) all.push_back(to_wire(*entry));
  return all;
}

Result<Record> Fleet::new_record(const wire::CreateRequest& request) const {
  TRY(check_sprite_name(request.name));
  if (entries_.contains(request.name))
    return Error{Error::Kind::exists,
                 "a sprite called '" + request.name + "' exists already",
                 "choose another name, or use it: `sprite console -s " + request.name + "`",
                 {}};
  TRY_LET(const image::Image image, host_.images().find(request.image.value_or(host_.options().default_image)));
  TRY(check_labels(request.labels));
  TRY(check_environment(request.environment));
  Record record;
  record.id = "sprite-" + random_uuid();
  record.name = request.name;
  record.image = image.manifest.digest;
  record.image_name = image.manifest.name;
  record.memory_bytes = request.config.ram_mb ? *request.config.ram_mb * MiB : host_.options().default_memory_bytes;
  record.vcpus = request.config.cpus ? static_cast<unsigned>(std::min<std::uint64_t>(*request.config.cpus, 1000))
                                     : host_.options().default_vcpus;
  record.mac_address = random_mac_address();
  record.url_settings = request.url_settings;
  record.labels = request.labels;
  record.environment = request.environment;
  record.created_at = record.updated_at = now();
  if (record.memory_bytes < memory_min_bytes || record.memory_bytes > memory_max_bytes)
    return Error{Error::Kind::invalid,
                 "a sprite cannot have " + format_size(record.memory_bytes) + " of memory",
                 "choose between " + format_size(memory_min_bytes) + " and " + format_size(memory_max_bytes),
                 {}};
  if (record.vcpus < 1 || record.vcpus > vcpus_max)
    return Error{Error::Kind::invalid,
                 "a sprite cannot have " + std::to_string(record.vcpus) + " processors",
                 "choose between 1 and " + std::to_string(vcpus_max),
                 {}};
  return record;
}

Result<> Fleet::make_folder(const Record& record, const MakeDisk& make_disk) {
  const Path unfinished = host_.sprites_dir() / (".new-" + record.id);
  auto made = [&]() -> Result<> {
    TRY(make_directories(unfinished));
    TRY(make_disk(unfinished, [&](meta::Database& database) { return save_record(database, record); }));
    if (::rename(unfinished.c_str(), host_.sprite_dir(record.id).c_str()) != 0)
      return system_error("cannot name the new sprite's folder");
    failpoint(Failpoint::create_named);
    return sync_directory(host_.sprites_dir());
  }();
  if (!made) (void)remove_tree(unfinished);
  return made;
}

Result<> Fleet::make_volume(const Record& record, const Path& directory, store::FillDatabase rows) {
  TRY_LET(const image::Image image, host_.images().find(record.image));
  return store::Volume::create(directory, image.rootfs(), image.manifest.disk_bytes, std::move(rows));
}

/// `error` as the reason why we failed in `doing`; a full disk is named.
Error Fleet::told(Error error, std::string doing) const {
  if (error.kind == Error::Kind::no_space && error.hint.empty())
    error.hint = "make room on the disk that holds '" + host_.options().data_dir.string() + "'";
  return std::move(error).within(std::move(doing));
}

asio::awaitable<Result<wire::Sprite>> Fleet::create(wire::CreateRequest request) {
  const std::string doing = "cannot create sprite '" + request.name + "'";
  const std::string from = request.from.value_or("");
  if (!from.empty()) {
    auto completed = with_settings_of_source(std::move(request));
    if (!completed) co_return std::move(completed).error().within(doing);
    request = *std::move(completed);
  }
  CO_TRY_LET(Record record, new_record(request));
  auto entry = std::make_shared<Entry>(host_, std::move(record));
  entry->phase = Phase::creating;
  entries_[entry->record.name] = entry;
  const Turns::Turn turn = co_await entry->turns.take("creation");
  Result<> made;
  if (!from.empty() && request.memory.value_or(false)) {
    made = co_await clone(entry, from);
  } else {
    made = co_await begin_by_itself(entry, from);
  }
  if (made) {
    log::info("sprite '{}' is created{}{}", entry->record.name, from.empty() ? "" : ", from ", from);
    co_return to_wire(*entry);
  }
  (void)co_await discard(entry);  // the first failure is the one to tell
  Error error = told(std::move(made).error(), doing);
  log::info("{}", log::one_line(error));  // who asked may have gone
  co_return error;
}

/// From a template or by a boot; its disk is the image's, or with `from` another's.
asio::awaitable<Result<>> Fleet::begin_by_itself(EntryPtr entry, std::string from) {
  Result<> made;
  if (!from.empty()) made = co_await fork_folder(entry, from);  // may have to wake its source
  const Turns::Turn start = co_await starts_.take();
  std::optional<Blank> blank;
  if (made) blank = co_await take_blank(entry);
  failpoint(Failpoint::create_taken);
  if (from.empty()) {
    auto make = [this, entry, blank] {
      return make_folder(entry->record, [&](const Path& folder, store::FillDatabase rows) {
        return blank ? blank->fork_disk(folder, std::move(rows)) : make_volume(entry->record, folder, std::move(rows));
      });
    };
    made = co_await on_pool(host_.pool(), make);
  } else if (blank) {
    made = co_await save_record_of(entry);
  }
  if (made) {
    made = co_await start_machine(entry, std::move(blank), from.empty() ? DiskOf::memory : DiskOf::sprite);
  } else if (blank) {
    co_await blanks_.discard(*std::move(blank));
  }
  co_return made;
}

asio::awaitable<Result<>> Fleet::bring_down(EntryPtr entry) {
  if (entry->phase == Phase::destroyed) co_return no_such_sprite(entry->record.name);
  if (entry->phase == Phase::asleep) co_return co_await leave_sleep(entry);
  if (!entry->machine.on() && !entry->lacks_disk) co_return Result<>{};
  if (entry->phase == Phase::paused) {
    (void)co_await resume(entry, Room::regardless);  // one that does not answer is ended all the same
  }
  enter(*entry, Phase::stopping);
  auto down = co_await entry->machine.shut_down();
  if (down) {
    entry->lacks_disk = false;
    enter(*entry, Phase::stopped);
  } else {
    enter(*entry, Phase::running, "did not stop: " + down.error().what);
  }
  co_return down;
}

asio::awaitable<Result<>> Fleet::discard(EntryPtr entry) {
  cancel(*entry);
  auto cut = co_await entry->machine.cut_power();  // also where a machine lives that we could not go on with
  if (!cut && entry->machine.on()) co_return cut;
  const Path folder = host_.sprite_dir(entry->record.id);
  const Path doomed = host_.sprites_dir() / (".gone-" + entry->record.id);
  if (::rename(folder.c_str(), doomed.c_str()) != 0 && errno != ENOENT) {
    co_return system_error("cannot rename '" + folder.string() + "'");
  }
  entries_.erase(entry->record.name);
  enter(*entry, Phase::destroyed);
  auto remove = [this, doomed]() -> Result<> {
    TRY(sync_directory(host_.sprites_dir()));
    TRY(remove_tree(doomed));
    host_.packs().note_spent();
    return {};
  };
  co_return co_await on_pool(host_.pool(), remove);
}

asio::awaitable<Result<>> Fleet::destroy(std::string name) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  const Turns::Turn turn = co_await entry->turns.take("removal");
  if (entry->phase == Phase::destroyed) co_return no_such_sprite(name);
  auto gone = co_await discard(entry);
  const bool had_unknown_machine = entry->damage && entry->phase == Phase::destroyed;  // its record told which
  if (had_unknown_machine) co_await end_machines_of_nobody();
  if (!gone) co_return std::move(gone).error().within("cannot destroy sprite '" + name + "'");
  co_return gone;
}

asio::awaitable<Result<wire::Sprite>> Fleet::update(std::string name, wire::UpdateRequest request) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  const Turns::Turn turn = co_await entry->turns.take("change of the settings");
  if (entry->phase == Phase::destroyed) co_return no_such_sprite(name);
  if (entry->damage) co_return *entry->damage;
  Record record = entry->record;
  if (request.url_settings) record.url_settings = *request.url_settings;
  if (request.clear_labels) record.labels.clear();
  if (request.labels) {
    CO_TRY(check_labels(*request.labels));
    record.labels = *request.labels;
  }
  CO_TRY(set_sleep_time(record.sleep_after, request.sleep_after));
  CO_TRY(set_sleep_time(record.sleep_deep_after, request.sleep_deep_after));
  if (request.pinned) record.pinned = request.pinned;
  record.updated_at = now();
  auto save = [this, record] { return save_record(host_.sprite_dir(record.id), record); };
  CO_TRY(co_await on_pool(host_.pool(), save));
  entry->record = std::move(record);
  enter(*entry, entry->phase, entry->detail);
  co_return to_wire(*entry);
}

asio::awaitable<Result<wire::Sprite>> Fleet::start(std::string name) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  const Turns::Turn turn = co_await entry->turns.take("start");
  auto up = co_await bring_up(entry);
  if (!up) co_return told(std::move(up).error(), "cannot start sprite '" + name + "'");
  co_return to_wire(*entry);
}

asio::awaitable<Result<wire::Sprite>> Fleet::stop(std::string name) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  const Turns::Turn turn = co_await entry->turns.take("stop");
  auto down = co_await bring_down(entry);
  if (!down) co_return std::move(down).error().within("cannot stop sprite '" + name + "'");
  co_return to_wire(*entry);
}

asio::awaitable<Result<wire::Sprite>> Fleet::restart(std::string name) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  const Turns::Turn turn = co_await entry->turns.take("restart");
  auto done = co_await bring_down(entry);
  if (done) done = co_await bring_up(entry);
  if (!done) co_return told(std::move(done).error(), "cannot restart sprite '" + name + "'");
  co_return to_wire(*entry);
}

asio::awaitable<Result<Stream>> Fleet::connect(std::string name) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  touch(*entry);
  if (entry->phase == Phase::running && entry->machine.reachable()) {
    const auto answers = co_await entry->machine.answers();
    bool ended = false;
    if (!answers) ended = co_await entry->machine.has_ended();  // which the channel may not have told yet
    if (!ended && entry->phase == Phase::running && entry->machine.reachable()) {
      if (answers) co_return in_use(entry, entry->machine.open_stream(), nullptr);
      co_return Error{Error::Kind::unavailable,
                      "sprite '" + name + "' does not answer",
                      "`sprite restart " + name + "` starts it anew, its disk as it is; `sprite logs " + name +
                          " --boot` shows its console",
                      {answers.error().what}};
    }
  }
  const Turns::Turn turn = co_await entry->turns.take("start");
  auto up = co_await bring_up_for_use(entry);
  if (!up) co_return told(std::move(up).error(), "cannot wake sprite '" + name + "'");
  co_return in_use(entry, entry->machine.open_stream(), *std::move(up));
}

asio::awaitable<Result<wire::AgentStatus>> Fleet::agent_status(std::string name) {
  CO_TRY_LET(const EntryPtr entry, find(name));
  co_return co_await entry->machine.agent_status();
}

Result<std::string> Fleet::console_log(const std::string& name) const {
  TRY_LET(const EntryPtr entry, find(name));
  return entry->machine.console_log();  // empty for one that was never started
}

Result<> Fleet::startable(const std::string& name) const {
  TRY_LET(const EntryPtr entry, find(name));
  if (entry->damage) return *entry->damage;
  return entry->machine.startable();
}

std::shared_ptr<void> Fleet::watch(std::function<void(const wire::Sprite&)> changed) {
  const std::uint64_t number = next_watcher_++;
  watchers_[number] = std::move(changed);
  return std::shared_ptr<void>(nullptr, [weak = weak_from_this(), number](void*) {
    if (const auto self = weak.lock()) self->watchers_.erase(number);
  });
}

wire::DaemonStatus Fleet::daemon_status() const {
  const vm::Facts facts = host_.facts();
  wire::DaemonStatus status;
  status.version = SPRITE_VERSION;
  status.pid = ::getpid();
  status.started_at = started_at_;
  status.socket = (host_.options().runtime_dir / "daemon.sock").string();
  status.url = host_.options().url;
  status.accelerator = facts.accelerator == vm::Accelerator::kvm ? "kvm" : "emulation";
  status.accelerator_reason = facts.accelerator_reason;
  status.qemu_version = facts.qemu_version;
  status.libvirt_version = facts.libvirt_version;
  status.network = facts.network;
  status.sprites = entries_.size();
  status.running = static_cast<std::uint64_t>(
      std::ranges::count_if(entries_, [](const auto& each) { return each.second->phase == Phase::running; }));
  return status;
}

void Fleet::close() {
  clock_.reset();
  stalls_.reset();
  for (const auto& [name, entry] : entries_) cancel(*entry);
  pack_upkeep_.reset();
  templates_.close();
  blanks_.close();
  host_.close();  // a start under way may be opening a disk
  if (vm::Hypervisor* const hypervisor = host_.opened_hypervisor())
    if (const auto hidden = hidden_vms::all(host_))
      for (const std::string& id : *hidden) (void)hidden_vms::end(host_, *hypervisor, id);  // else the next daemon does
  blanks_.let_go_of_unfinished();
  for (const auto& [name, entry] : entries_)
    (void)entry->machine.release();  // the next daemon goes on from tmpfs if a flush failed
}

}  // namespace sprite
