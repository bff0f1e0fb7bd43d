#pragma once
/// Fleet: the real Sprites.
///
/// A sprite is an Entry: its record, its machine and what it is doing. An entry's actions take turns; the map of
/// entries and all phases change on the executor only. What survives a crash is the folder of a sprite: it appears with
/// a rename once it is whole, and disappears with one before its content is removed, so that a crash leaves either a
/// whole sprite or a folder whose name begins with a dot, which the next start removes.
#include <boost/asio/system_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "sprite/clock_watch.h"
#include "sprite/host.h"
#include "sprite/idle.h"
#include "sprite/limited_turn.h"
#include "sprite/machine.h"
#include "sprite/memory_pressure.h"
#include "sprite/record.h"
#include "sprite/sprites.h"
#include "sprite/turns.h"
#include "store/history.h"
#include "store/pack_upkeep.h"

namespace sprite {

Error no_such_sprite(const std::string& name);

/// found: an earlier daemon's VM, whose agent is being reached. pausing: it still runs, but nothing new may begin.
/// paused: the VM is there and stands still. asleep: its memory is saved on the disk. waking: that is being loaded.
enum class Phase { creating, found, stopped, starting, running, pausing, paused, asleep, waking, stopping, destroyed };

/// Whether a paused machine goes on only where there is room for what it may still take.
enum class Room { needed, regardless };

struct Entry : std::enable_shared_from_this<Entry> {
  Entry(Host& host, Record its_record)
      : record(std::move(its_record)), alarm(host.executor()), waker(host.executor()), machine(host, record) {}

  Record record;
  Phase phase = Phase::stopped;
  std::string detail;                 ///< Why it is so, when that is not plain: "ended by itself: guest powered off".
  std::optional<Error> damage;        ///< Why nothing is known of it but its folder; it can only be destroyed.
  std::uint64_t disk_used_bytes = 0;  ///< As measure_disks() found it.
  bool lacks_disk = false;            ///< An earlier daemon's machine may wait for its disk, which we could not serve.
  std::shared_ptr<Saving> saving;     ///< Paused, and on its way to being asleep.
  Use use;
  asio::steady_timer alarm;              ///< When it is to sleep deeper by itself.
  asio::system_timer waker;              ///< When it is to wake for a timer of its own.
  bool timer_on_disk = false;            ///< The record on the disk may name a timer.
  bool waking = false;                   ///< Somebody wrote to it while it was paused.
  bool stands_still = false;             ///< Paused by us, since memory is short: it goes on by itself.
  std::uint64_t memory_taken_bytes = 0;  ///< When memory was last looked at,
  std::uint64_t memory_grown_bytes = 0;  ///< and since the look before.
  Turns turns;
  Machine machine;
};

class Fleet final : public Sprites, public std::enable_shared_from_this<Fleet> {
 public:
  Fleet(asio::any_io_executor executor, SpritesOptions options);

  /// Loads every sprite and goes on with those that run. Errors: as open_sprites().
  Result<> open();

  asio::awaitable<Result<wire::Sprite>> create(wire::CreateRequest request) override;
  Result<wire::Sprite> get(const std::string& name) const override;
  std::vector<wire::Sprite> list() const override;
  asio::awaitable<void> measure_disks() override;
  asio::awaitable<Result<wire::Sprite>> update(std::string name, wire::UpdateRequest request) override;
  asio::awaitable<Result<>> destroy(std::string name) override;
  asio::awaitable<Result<wire::Sprite>> start(std::string name) override;
  asio::awaitable<Result<wire::Sprite>> stop(std::string name) override;
  asio::awaitable<Result<wire::Sprite>> restart(std::string name) override;
  asio::awaitable<Result<wire::Sprite>> sleep(std::string name, Depth depth, IfInUse if_in_use, Wait wait) override;
  std::string going_on(const std::string& name) const override;
  asio::awaitable<Result<>> check_room_for_checkpoint(std::string name) override;
  asio::awaitable<Result<Checkpointed>> checkpoint(std::string name, wire::CheckpointRequest request) override;
  asio::awaitable<Result<std::vector<wire::Checkpoint>>> checkpoints(std::string name) override;
  asio::awaitable<Result<>> remove_checkpoint(std::string name, std::string id) override;
  asio::awaitable<Result<Comparing>> compare(std::string name, std::string from, std::string to) override;
  asio::awaitable<Result<Checkpointed>> restore(std::string name, std::string id) override;
  asio::awaitable<Result<FilesystemChecked>> check_filesystem(std::string name) override;
  asio::awaitable<Result<>> export_to(std::string name, std::string path) override;
  asio::awaitable<Result<wire::Sprite>> import_from(wire::ImportRequest request) override;
  asio::awaitable<Result<wire::Usage>> usage(std::string name) override;
  asio::awaitable<Result<wire::Collected>> collect(wire::CollectRequest request) override;
  asio::awaitable<Result<wire::TemplateMade>> make_template(std::string image) override;
  asio::awaitable<Result<Stream>> connect(std::string name) override;
  asio::awaitable<Result<wire::AgentStatus>> agent_status(std::string name) override;
  Result<std::string> console_log(const std::string& name) const override;
  Result<> startable(const std::string& name) const override;
  std::shared_ptr<void> watch(std::function<void(const wire::Sprite&)> changed) override;
  void on_guest(std::function<void(const std::string& name, Stream)> serve) override {
    host_.on_guest(std::move(serve));
  }
  wire::DaemonStatus daemon_status() const override;
  void close() override;

 private:
  using EntryPtr = std::shared_ptr<Entry>;

  Result<EntryPtr> find(const std::string& name) const;
  /// An existing sprite and one's turn with it, for `what` ("restore"). Errors: not_found.
  struct Claim {
    EntryPtr entry;
    Turns::Turn turn;
  };
  asio::awaitable<Result<Claim>> claim(std::string name, std::string what);
  asio::awaitable<Result<store::History>> history(EntryPtr entry);

  Result<wire::CreateRequest> with_settings_of_source(wire::CreateRequest request) const;
  Result<Record> new_record(const wire::CreateRequest& request) const;
  store::Volumes volumes() const;
  /// Makes a volume in `folder`, and `rows` with it.
  using MakeDisk = std::function<Result<>(const Path& folder, store::FillDatabase rows)>;
  /// Makes a sprite's folder. Blocks.
  Result<> make_folder(const Record& record, const MakeDisk& make_disk);
  Result<> make_folder_unless(const std::atomic<bool>& given_up, const Record& record, const MakeDisk& make_disk);
  Result<> make_volume(const Record& record, const Path& directory, store::FillDatabase rows);
  asio::awaitable<Result<>> fork_folder(EntryPtr entry, std::string from);
  asio::awaitable<Result<>> begin_by_itself(EntryPtr entry, std::string from);

  // Memory for another sprite: fleet_memory.cpp.
  /// Makes a sprite's folder, and goes on with the memory of another. Errors: also invalid (that has none).
  asio::awaitable<Result<>> clone(EntryPtr entry, std::string from);
  asio::awaitable<Result<Blank>> take_empty_blank(EntryPtr entry, std::uint64_t disk_bytes);
  asio::awaitable<Result<>> copy_source(EntryPtr entry, std::string from, std::shared_ptr<Blank> into,
                                        std::shared_ptr<const std::atomic<bool>> given_up);
  asio::awaitable<Result<>> copy_living(EntryPtr source, MemoryCopy to,
                                        std::function<Result<>(store::Volume&)> fork_disk);
  /// Does `work` while the sprite is paused; one that ran goes on then. Errors: as Machine::pause(), those of `work`.
  asio::awaitable<Result<>> while_paused(EntryPtr entry, std::function<asio::awaitable<Result<>>()> work);
  asio::awaitable<Result<store::Checkpoint>> checkpoint_with_memory(EntryPtr entry, std::string comment);
  asio::awaitable<Result<store::Checkpoint>> checkpoint_of_disk(EntryPtr entry, std::string comment, std::string& note);
  Result<> check_host_space() const;
  asio::awaitable<Result<Restored>> put_back(EntryPtr entry, store::Checkpoint target);
  asio::awaitable<Result<>> copy_saved(EntryPtr source, std::optional<store::Checkpoint> checkpoint, MemoryCopy to,
                                       std::function<Result<>(store::Volume&)> fork_disk);
  void load(const Path& folder);
  bool remove_unborn(const Path& folder, const Record& record);
  std::vector<Path> find_strays() const;
  bool is_ours_alone() const;
  asio::awaitable<void> remove_strays();
  asio::awaitable<void> end_machine(std::string id);
  asio::awaitable<void> enter_as_it_stands(EntryPtr entry, Error why);
  asio::awaitable<void> end_machines_of_nobody();
  Error told(Error error, std::string doing) const;
  wire::Sprite to_wire(const Entry& entry) const;
  void enter(Entry& entry, Phase phase, std::string detail = "");
  void log_change(const Entry& entry, Phase before) const;
  void note_running(Entry& entry);

  // Falling asleep by itself: fleet_idle.cpp.
  SleepRules sleep_rules(const Record& record) const;
  std::optional<Use::Time> sleep_due(const Entry& entry) const;
  void touch(Entry& entry);
  void set_alarm(Entry& entry);
  Result<Stream> in_use(EntryPtr entry, Result<Stream> stream, std::shared_ptr<void> with_it);
  asio::awaitable<void> sleep_deeper(EntryPtr entry);
  asio::awaitable<void> look_inside(EntryPtr entry);
  // Waking for timers of programs: fleet_timers.cpp.
  asio::awaitable<Result<>> note_timer(EntryPtr entry);
  void expect_timer(Entry& entry, const wire::Activity& activity);
  void set_waker(Entry& entry);
  asio::awaitable<void> keep_appointment(EntryPtr entry);

  void describe_sleep(const Entry& entry, wire::Sprite& shown) const;

  /// Takes its turn for that.
  asio::awaitable<Result<>> fall_asleep(EntryPtr entry, Depth depth, IfInUse if_in_use);

  // The caller of these has the entry's turn.
  asio::awaitable<Result<>> bring_up(EntryPtr entry);
  /// The same, and the turn of the start, if it took one, which goes on with its first use (limited_turn.h).
  asio::awaitable<Result<std::shared_ptr<void>>> bring_up_for_use(EntryPtr entry);
  asio::awaitable<Result<bool>> go_on(EntryPtr entry);
  asio::awaitable<Result<>> start_anew(EntryPtr entry);
  asio::awaitable<Result<Woken>> wake_from_disk(EntryPtr entry);
  asio::awaitable<std::optional<Blank>> take_blank(EntryPtr entry);
  asio::awaitable<Result<>> save_record_of(EntryPtr entry);
  asio::awaitable<Result<>> record_machine(EntryPtr entry, Blank& blank);
  /// Has others make room in memory while that `lacks`, as far as they can: blanks go, then those that nobody uses
  /// sleep on the disk, the longest idle first. `why` is told of each.
  asio::awaitable<void> make_room(std::function<bool()> lacks, std::string why, std::vector<EntryPtr> except);
  asio::awaitable<void> make_room_for(EntryPtr entry);
  bool lacks_room(const Entry& entry) const;
  asio::awaitable<EntryPtr> longest_idle(std::vector<EntryPtr> except);
  asio::awaitable<bool> put_on_disk(EntryPtr victim, std::string why);
  asio::awaitable<Result<>> start_machine(EntryPtr entry, std::optional<Blank> blank, DiskOf disk,
                                          std::string note = "");
  asio::awaitable<Result<>> go_on_from(EntryPtr entry, Blank blank, DiskOf disk);
  asio::awaitable<Result<>> go_on_from_new(EntryPtr entry, std::shared_ptr<const Template> of);
  asio::awaitable<Result<>> boot(EntryPtr entry);
  asio::awaitable<Result<>> bring_down(EntryPtr entry);
  asio::awaitable<Result<>> check_unused(EntryPtr entry, Depth depth);
  asio::awaitable<Result<>> pause(EntryPtr entry);
  asio::awaitable<Result<>> send_to_disk(EntryPtr entry);
  /// Nothing if the machine is gone. Errors: no_space (memory is short: it stays paused), unavailable.
  asio::awaitable<std::optional<Result<>>> resume(EntryPtr entry, Room room = Room::needed);
  void cancel(Entry& entry);
  /// Before the disk becomes another: a paused sprite goes on; saved memory, which is of the disk as it is, goes.
  asio::awaitable<Result<>> leave_sleep(EntryPtr entry);
  /// Before what needs a guest that answers: a paused one goes on.
  asio::awaitable<Result<>> rouse(EntryPtr entry);
  asio::awaitable<Result<>> discard(EntryPtr entry);

  /// Copies the memory of a sprite that falls asleep; without its turn but at the end.
  asio::awaitable<void> save_behind(EntryPtr entry, std::shared_ptr<Saving> saving);
  /// Waits for that; whether its memory is on the disk then.
  asio::awaitable<bool> has_been_saved(EntryPtr entry);
  EntryPtr sprite_in(const std::string& vm_id) const;
  asio::awaitable<void> prepare_for_next(TemplateKind kind, BlankFor what);
  asio::awaitable<void> go_on_with_machines();
  asio::awaitable<void> go_on_with(EntryPtr entry, bool there);
  asio::awaitable<void> machine_ended(std::string id, std::string reason);

  // Memory that runs short while machines run: fleet_pressure.cpp.
  enum class Until { enough, one_has_gone };
  void watch_memory();
  void set_memory_timer(std::chrono::milliseconds time);
  void look_at_memory();
  /// What the machine may still take, and what all those that run may.
  std::uint64_t growth_of(const Entry& entry) const;
  std::uint64_t growth_of_machines() const;
  bool memory_is_short() const;
  bool has_room_to_go_on(const Entry& entry) const;
  void stop_growers(const FreeMemory& free, std::vector<EntryPtr> growing);
  asio::awaitable<void> stand_still(EntryPtr entry, std::string why);
  void let_one_go_on();
  void relieve_memory(Until until);
  asio::awaitable<Result<>> find_room_to_go_on(EntryPtr entry);

  // The host's clock: fleet_clock.cpp.
  void watch_clock();
  void clock_jumped(ClockWatch::Offset jump);

  Host host_;
  /// Machines that start at once: more of them would all be slow.
  Turns starts_{static_cast<int>(std::max(2U, std::thread::hardware_concurrency()))};
  Templates templates_{host_};
  Blanks blanks_{host_};
  std::optional<store::PackUpkeep> pack_upkeep_;
  std::vector<std::string> left_over_;       ///< Hidden VMs of earlier daemons.
  std::vector<Path> strays_;                 ///< Runtime folders of earlier daemons that are no sprite's.
  std::map<std::string, EntryPtr> entries_;  // by name
  std::map<std::uint64_t, std::function<void(const wire::Sprite&)>> watchers_;
  std::uint64_t next_watcher_ = 0;
  std::string started_at_;
  std::optional<std::chrono::steady_clock::time_point> measured_;  ///< When disks were.
  asio::steady_timer memory_timer_{host_.executor()};
  std::unique_ptr<ClockWatch> clock_;
  std::unique_ptr<StallWatch> stalls_;  ///< While memory is watched.
  bool relieving_ = false;
  std::chrono::steady_clock::time_point relieve_again_{};
};

}  // namespace sprite
