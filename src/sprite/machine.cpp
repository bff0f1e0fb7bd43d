#include "sprite/machine.h"

#include <unistd.h>

#include "base/failpoint.h"
#include "base/text.h"
#include "sprite/agent_client.h"
#include "sprite/checkpoints.h"
#include "sprite/connect_channel.h"
#include "sprite/filesystem.h"
#include "sprite/hidden_vms.h"
#include "sprite/on_pool.h"
#include "vm/console_log.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr auto start_limit = 90s;  // of QEMU, through libvirt; 0.4 s on an idle machine
constexpr auto boot_limit = 90s;   // emulated, on a busy machine; a usual boot takes 3 to 4
constexpr auto adopt_limit = 20s;
constexpr auto configure_limit = 60s;
constexpr auto clone_limit = 10s;     // a usual one takes a tenth of a second; to boot is quicker than to wait longer
constexpr auto shutdown_limit = 10s;  // the agent gives programs 2 s of it
constexpr auto power_off_limit = 5s;
constexpr auto ending_limit = 2s;  // between the end of the channel and that of the process
constexpr auto status_limit = 5s;
constexpr auto sign_of_life_limit = 2s;
constexpr auto answer_limit = 20s;  // of a guest whose programs take all of a busy machine
constexpr auto freeze_limit = 10s;  // most of it may go by writing what the guest has not written yet
constexpr auto check_limit = 30min;
constexpr auto thaw_limit = 2s, show_limit = 5s;
constexpr auto take_disk_limit = 30s, give_disk_limit = 30s;  // the first writes what was not written yet
constexpr std::size_t automatic_checkpoints_kept = 5;

/// A VM that was not started as this sprite's has its console in its own folder.
void keep_console(const Path& from, const Path& to) {
  const auto text = vm::console_tail(from);
  if (!text || text->empty()) return;
  const auto log = open_file(to, O_WRONLY | O_CREAT | O_APPEND);
  if (log) (void)write_all(log->get(), as_bytes(*text));
  (void)vm::trim_console(to);
}

/// Removes the oldest automatic checkpoints, but for those that are kept and number `needed`. What fails, the next one
/// does.
void remove_old_automatic(store::Volume& volume, std::int64_t needed) {
  auto automatic = volume.checkpoints();
  if (!automatic) return;
  std::erase_if(*automatic, [](const auto& each) { return each.automatic == store::Automatic::no; });
  std::ranges::sort(*automatic, std::greater(), &store::Checkpoint::layer);
  for (std::size_t i = automatic_checkpoints_kept; i < automatic->size(); ++i)
    if ((*automatic)[i].number != needed) (void)volume.remove_checkpoint((*automatic)[i].number);
}

}  // namespace

Machine::Machine(Host& host, const Record& record) : host_(host), record_(record) {}
Machine::~Machine() = default;

Result<vm::MachineSpec> Machine::machine_spec() const {
  TRY(startable());
  TRY_LET(vm::MachineSpec spec, host_.vm_spec(vm_id(), record_.image, record_.memory_bytes, record_.vcpus));
  spec.hostname = record_.name;
  spec.console_log = host_.console_log(record_.id);
  spec.mac_address = record_.mac_address;
  return spec;
}

Result<> Machine::startable() const {
  const auto found = host_.images().find(record_.image);
  if (found || found.error().kind != Error::Kind::not_found) return found ? Result<>() : found.error();
  return Error{Error::Kind::corrupt,
               "its image " + record_.image_name + "@" + record_.image.substr(0, 12) + " is missing",
               "add it again: `sprite image import FILE`; where it still is, `sprite image export` makes that file",
               {}};
}

Result<> Machine::serve_disk() {
  if (!volume_) {
    TRY_LET(volume_, host_.open_volume(record_.id));
    volume_->start_upkeep({});
  }
  if (disk_) return {};
  const Path runtime = host_.vm_dir(vm_id());
  TRY(make_directories(runtime));
  TRY_LET(auto disk, DiskServer::start(runtime / "disk.sock", volume_->size_bytes()));
  TRY(disk->bind(volume_));
  disk_ = std::move(disk);
  return {};
}

asio::awaitable<Result<>> Machine::start_vm() {
  console_begin_ = console_bytes();
  CO_TRY_LET(vm::MachineSpec spec, machine_spec());
  CO_TRY(co_await host_.hypervisor());
  auto serve = [this] { return serve_disk(); };
  CO_TRY(co_await on_pool(host_.pool(), serve));
  auto start = [spec = std::move(spec)](vm::Hypervisor& hypervisor) { return hypervisor.start(spec); };
  co_return co_await host_.with_hypervisor("starting the machine", start, start_limit);
}

asio::awaitable<Result<>> Machine::connect_agent(std::chrono::milliseconds limit) {
  auto serve = [this](Stream stream) { host_.serve_guest(record_.name, std::move(stream)); };
  auto closed = [this](Error) { channel_down_ = true; };
  const Path socket = host_.vm_dir(vm_id()) / "channel.sock";
  CO_TRY_LET(auto link, co_await connect_channel(host_.executor(), socket, serve, closed, limit));
  channel_down_ = false;
  link_ = std::move(link);
  co_return Result<>{};
}

asio::awaitable<Result<>> Machine::configure_agent(std::chrono::milliseconds limit, Memory of) {
  wire::Configure identity = host_.new_identity(record_.id, record_.name);
  identity.mac_address = record_.mac_address;
  identity.environment = record_.environment;
  identity.drop_connections = of == Memory::anothers || is_to_be_renewed();
  auto read = [folder = host_.sprite_dir(record_.id)] { return store::read_history(folder); };
  if (const auto history = co_await on_pool(host_.pool(), read)) identity.checkpoints = shown_of(*history);
  CO_TRY_LET(Stream stream, link_->open());
  CO_TRY(co_await agent_client::configure(std::move(stream), identity, limit));
  ::unlink(renewal_mark().c_str());
  co_return Result<>{};
}

asio::awaitable<Result<>> Machine::power_on() {
  auto on = co_await start_vm();
  if (on) on = co_await connect_agent(boot_limit);
  if (on) on = co_await configure_agent(configure_limit);
  co_return co_await off_unless(std::move(on));
}

/// A machine that did not come up is off again, and the error has its console's last lines.
asio::awaitable<Result<>> Machine::off_unless(Result<> up) {
  if (up) co_return Result<>{};
  Error error = with_console(std::move(up).error());
  (void)co_await cut_power();  // the first failure is the one to tell
  co_return error;
}

asio::awaitable<Result<>> Machine::power_on_from(Blank blank, DiskOf disk) {
  Path state = blank.made_of->memory.state();
  auto on = co_await go_on_from(std::move(blank), disk, std::move(state));
  if (on) co_return on;
  (void)co_await cut_power();  // the first failure is the one to tell
  co_return on;
}

asio::awaitable<Result<>> Machine::power_on_as_clone(Blank blank, Path state) {
  auto on = co_await go_on_from(std::move(blank), DiskOf::memory, state);
  ::unlink(state.c_str());
  if (on) on = co_await greet();
  if (on) co_return on;
  (void)co_await cut_power();  // the first failure is the one to tell
  co_return on;
}

/// Until it has acknowledged who it is, the VM stays a hidden one, which nobody goes on with after a crash.
asio::awaitable<Result<>> Machine::go_on_from(Blank blank, DiskOf disk, Path state) {
  disk_ = std::move(blank.disks);
  scratch_ = std::move(blank.scratch);
  const std::shared_ptr<const Template> of = blank.made_of;
  const bool rehearsed = scratch_ != nullptr;
  auto bind = [this, of, disk]() -> Result<> {
    TRY_LET(volume_, host_.open_volume(record_.id));
    volume_->start_upkeep({});
    if (disk == DiskOf::memory) {
      TRY(disk_->bind(volume_));
      scratch_.reset();
    } else if (!scratch_) {
      TRY_LET(scratch_, ScratchDisk::make(host_, *of, vm_id()));
      TRY(disk_->bind(scratch_->volume()));
    }
    return {};
  };
  CO_TRY(co_await on_pool(host_.pool(), bind));
  failpoint(Failpoint::begin_bound);
  auto load = [id = vm_id(), of, rehearsed, state](vm::Hypervisor& hypervisor) -> Result<> {
    if (!rehearsed) TRY(hypervisor.load(id, state));
    return hypervisor.resume(id);
  };
  CO_TRY(co_await host_.with_hypervisor("loading the memory", load, clone_limit));
  failpoint(Failpoint::begin_loaded);
  CO_TRY(co_await connect_agent(clone_limit));
  if (scratch_) {
    CO_TRY(co_await exchange_scratch());
    failpoint(Failpoint::begin_exchanged);
  }
  const Memory whose = of ? Memory::own : Memory::anothers;  // a template's is nobody's
  CO_TRY(co_await configure_agent(clone_limit, whose));
  failpoint(Failpoint::begin_told);
  CO_TRY(hidden_vms::hand_over(host_, vm_id()));
  failpoint(Failpoint::begin_shown);
  co_return Result<>{};
}

/// As a restore does: what the template had mounted goes, and the sprite's own disk takes its place.
asio::awaitable<Result<>> Machine::exchange_scratch() {
  CO_TRY(co_await take_disk_from_guest());
  auto exchange = [this]() -> Result<> {
    TRY(disk_->bind(volume_));
    scratch_.reset();
    return {};
  };
  CO_TRY(co_await on_pool(host_.pool(), exchange));
  co_return co_await give_disk_to_guest();
}

asio::awaitable<Result<>> Machine::adopt() {
  unmark_copying();
  CO_TRY(co_await connect_agent(adopt_limit));
  CO_TRY(co_await configure_agent(configure_limit));
  co_return co_await greet();  // an earlier daemon may have been killed while programs stood still
}

asio::awaitable<bool> Machine::has_ended() {
  const auto absent = co_await wait_until_absent(ending_limit);
  co_return static_cast<bool>(absent);
}

asio::awaitable<Result<>> Machine::shut_down() {
  if (!reachable()) {
    (void)co_await connect_agent(shutdown_limit);  // only an agent that is told lets programs end well
  }
  if (link_) {
    auto stream = link_->open();
    Result<> told = stream ? Result<>{} : Result<>{stream.error()};
    if (stream) told = co_await agent_client::shutdown(*std::move(stream), shutdown_limit);
    if (told) (void)co_await wait_until_absent(power_off_limit);
  }
  co_return co_await cut_power();
}

asio::awaitable<Result<>> Machine::wait_until_absent(std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  for (;;) {
    auto look = [id = vm_id()](vm::Hypervisor& hypervisor) { return hypervisor.state(id); };
    CO_TRY_LET(const vm::State state, co_await host_.with_hypervisor("looking at the machine", look));
    if (state == vm::State::absent) co_return Result<>{};
    if (std::chrono::steady_clock::now() > deadline) {
      co_return Error{Error::Kind::unavailable, "the machine did not power off"};
    }
    co_await pause_for(20ms);
  }
}

asio::awaitable<Result<>> Machine::cut_power() {
  auto destroy = [id = vm_id()](vm::Hypervisor& hypervisor) { return hypervisor.destroy(id); };
  CO_TRY(co_await host_.with_hypervisor("ending the machine", destroy));
  failpoint(Failpoint::vm_ended);
  co_await let_go();
  co_return Result<>{};
}

asio::awaitable<void> Machine::let_go() {
  unmark_copying();
  link_.reset();
  auto close = [disk = std::move(disk_), volume = std::move(volume_), scratch = std::move(scratch_),
                of_volume = host_.volume_dir(record_.id), of_vm = host_.vm_dir(vm_id()),
                console = host_.console_log(record_.id)]() mutable -> Result<> {
    disk.reset();
    scratch.reset();
    if (volume) (void)volume->close();  // what could not be flushed is what the last flush of the guest did not cover
    volume.reset();
    keep_console(of_vm / "console.log", console);
    TRY(remove_tree(of_volume));
    return remove_tree(of_vm);
  };
  (void)co_await on_pool(host_.pool(), close);  // what is left over is removed by the next start
}

Result<> Machine::release() {
  link_.reset();
  disk_.reset();
  if (!volume_) return {};
  auto flushed = volume_->flush();
  volume_.reset();
  return flushed;
}

std::string Machine::console_log(std::uint64_t limit_bytes) const {
  std::string text;
  for (const Path& file : {host_.console_log(record_.id), host_.vm_dir(vm_id()) / "console.log"})
    if (const auto part = vm::console_tail(file, limit_bytes)) text += *part;
  return text.substr(text.size() - std::min<std::size_t>(text.size(), limit_bytes));
}

std::uint64_t Machine::console_bytes() const {
  std::error_code absent;
  const std::uint64_t bytes = std::filesystem::file_size(host_.console_log(record_.id), absent);
  return absent ? 0 : bytes;
}

/// With what the console said last of this start; what an earlier one said explains nothing.
Error Machine::with_console(Error error) const {
  const std::uint64_t bytes = console_bytes();
  const std::uint64_t said = bytes - std::min(bytes, console_begin_);
  const auto text = vm::console_tail(host_.console_log(record_.id), std::min<std::uint64_t>(said, 4 * KiB));
  if (!text) return error;
  const std::vector<std::string> lines = split(trim(*text), '\n');
  for (std::size_t i = lines.size() - std::min<std::size_t>(lines.size(), 3); i < lines.size(); ++i)
    if (const std::string line = trim(lines[i]); !line.empty()) error.because.push_back("console: " + line);
  return error;
}

/// An agent that is well answers at once, and may then take its time to write.
asio::awaitable<Result<>> Machine::freeze() {
  CO_TRY(co_await answers_within(sign_of_life_limit));
  CO_TRY_LET(Stream stream, open_stream());
  co_return co_await agent_client::freeze(std::move(stream), freeze_limit);
}

/// A guest that does not hear it thaws by itself.
asio::awaitable<void> Machine::thaw() {
  auto stream = open_stream();
  if (!stream) co_return;
  auto ignored = [](std::exception_ptr, Result<>) {};
  asio::co_spawn(host_.executor(), agent_client::thaw(*std::move(stream), thaw_limit), std::move(ignored));
}

void Machine::show_checkpoints(std::vector<wire::ShownCheckpoint> checkpoints) {
  auto stream = open_stream();
  if (!stream) return;
  auto ignored = [](std::exception_ptr, Result<>) {};
  asio::co_spawn(host_.executor(),
                 agent_client::show_checkpoints(*std::move(stream), std::move(checkpoints), show_limit),
                 std::move(ignored));
}

asio::awaitable<Result<>> Machine::take_disk_from_guest() {
  CO_TRY(co_await answers_within(sign_of_life_limit));
  CO_TRY_LET(Stream stream, open_stream());
  co_return co_await agent_client::stop_container(std::move(stream), take_disk_limit);
}

asio::awaitable<Result<>> Machine::give_disk_to_guest() {
  CO_TRY_LET(Stream stream, open_stream());
  co_return co_await agent_client::start_container(std::move(stream), give_disk_limit);
}

asio::awaitable<Result<store::Checkpoint>> Machine::restore_volume(std::int64_t checkpoint) {
  std::function<Result<store::Checkpoint>(store::Volume&)> restore =
      [checkpoint](store::Volume& volume) -> Result<store::Checkpoint> {
    TRY_LET(const store::Consistency present, consistency_of(volume));
    TRY_LET(const store::Checkpoint before, volume.restore(checkpoint, present));
    remove_old_automatic(volume, checkpoint);
    return before;
  };
  co_return co_await with_volume<store::Checkpoint>(std::move(restore));
}

asio::awaitable<Result<Restored>> Machine::restore(std::int64_t checkpoint) {
  Restored restored;
  if (!on()) {
    CO_TRY_LET(restored.before, co_await restore_volume(checkpoint));
    co_return restored;
  }
  Result<> in_place = co_await take_disk_from_guest();
  bool exchanged = false;
  if (in_place) {
    auto before = co_await restore_volume(checkpoint);
    exchanged = before.has_value();
    in_place = co_await give_disk_to_guest();
    if (in_place && !before) co_return std::move(before).error();
    if (before) restored.before = *std::move(before);
    if (in_place) co_return restored;
  }
  restored.note = "the sprite was restarted, since its guest did not answer: " + in_place.error().what;
  CO_TRY(co_await cut_power());
  if (!exchanged) {
    CO_TRY_LET(restored.before, co_await restore_volume(checkpoint));
  }
  CO_TRY(co_await power_on());
  co_return restored;
}

asio::awaitable<Result<Restored>> Machine::restore_asleep(store::Checkpoint checkpoint) {
  if (on()) {
    (void)co_await take_disk_from_guest();  // so that the present is kept whole
    CO_TRY(co_await cut_power());
  }
  Restored restored;
  CO_TRY_LET(restored.before, co_await restore_volume(checkpoint.number));
  failpoint(Failpoint::restore_disk);
  std::function<Result<>(store::Volume&)> put = [of = checkpoint_memory(name_of(checkpoint)),
                                                 place = memory_directory()](store::Volume& volume) -> Result<> {
    TRY_LET(const auto image, vm::open_memory_image(of));
    if (!image) return Error{Error::Kind::corrupt, "it is gone"};
    TRY_LET(std::string instant, volume.mark_instant());
    TRY_LET(vm::MemoryImageWriter writer, vm::MemoryImageWriter::begin(place));
    TRY(writer.link(*image, std::move(instant)));
    failpoint(Failpoint::restore_linked);
    TRY(writer.publish());
    failpoint(Failpoint::restore_asleep);
    return {};
  };
  const auto placed = co_await with_volume<void>(std::move(put));
  if (!placed) restored.note = "its programs are not brought back: " + placed.error().what;
  co_return restored;
}

/// A machine whose agent runs, and nothing else.
asio::awaitable<Result<>> Machine::boot_without_disk() {
  auto up = co_await start_vm();
  if (up) up = co_await connect_agent(boot_limit);
  if (up) up = co_await take_disk_from_guest();
  co_return co_await off_unless(std::move(up));
}

asio::awaitable<Result<store::Checkpoint>> Machine::keep_present(std::string comment) {
  std::function<Result<store::Checkpoint>(store::Volume&)> keep =
      [comment](store::Volume& volume) -> Result<store::Checkpoint> {
    TRY_LET(const store::Consistency present, consistency_of(volume));
    TRY_LET(store::Checkpoint made, volume.checkpoint(comment, store::Automatic::yes, present));
    remove_old_automatic(volume, made.number);
    return made;
  };
  co_return co_await with_volume<store::Checkpoint>(std::move(keep));
}

asio::awaitable<Result<Checked>> Machine::check_released_disk() {
  Checked checked;
  CO_TRY_LET(checked.before, co_await keep_present("before a check of the filesystem"));
  CO_TRY_LET(Stream stream, open_stream());
  CO_TRY_LET(checked.check, co_await agent_client::check_disk(std::move(stream), check_limit));
  co_return checked;
}

asio::awaitable<Result<Checked>> Machine::check_filesystem() {
  const bool was_on = on();
  bool in_place = false;
  if (was_on) {
    auto taken = co_await take_disk_from_guest();
    in_place = taken.has_value();
    if (!in_place) {
      CO_TRY(co_await cut_power());
    }
  }
  if (!in_place) {
    CO_TRY(co_await boot_without_disk());
  }
  auto checked = co_await check_released_disk();
  if (!was_on) {
    (void)co_await shut_down();
    co_return checked;
  }
  Result<> given;
  if (in_place) {
    given = co_await give_disk_to_guest();
  } else {
    given = co_await configure_agent(configure_limit);
  }
  if (checked) {
    CO_TRY(co_await off_unless(std::move(given)));
  }
  co_return checked;
}

Result<Stream> Machine::open_stream() {
  if (!reachable()) return Error{Error::Kind::unavailable, "the machine's agent is not connected"};
  return link_->open();
}

asio::awaitable<Result<>> Machine::answers() { return answers_within(answer_limit); }

asio::awaitable<Result<>> Machine::answers_within(std::chrono::milliseconds limit) {
  CO_TRY_LET(Stream stream, open_stream());
  CO_TRY(co_await agent_client::status(std::move(stream), limit));
  co_return Result<>{};
}

asio::awaitable<Result<wire::AgentStatus>> Machine::agent_status() {
  CO_TRY_LET(Stream stream, open_stream());
  co_return co_await agent_client::status(std::move(stream), status_limit);
}

}  // namespace sprite
