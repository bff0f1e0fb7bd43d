// Machine: sleeping, waking, and copying memory for another machine (ARCHITECTURE.md, section 5).
//
// Order of a sleep: programs stand still and what they wrote is on the disk; processors stand still and the disk's
// requests are answered; the disk is cut; the state is saved; RAM is copied; the copy is published (from here on a
// crash leaves the saved memory); the VM is ended. Until then the VM is there, whole, and a wake just lets it go on.
// Order of a wake from the disk: the stamp is compared; QEMU is started while RAM is copied; the state is loaded; the
// saved memory is used up, durably; processors run; the clock is set; programs run.
#include <unistd.h>

#include <future>

#include "base/directory.h"
#include "base/failpoint.h"
#include "sprite/agent_client.h"
#include "sprite/hidden_vms.h"
#include "sprite/machine.h"
#include "sprite/on_pool.h"
#include "vm/machine_files.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr auto sign_of_life_limit = 1s;
constexpr auto activity_limit = 5s;
constexpr auto hold_limit = 10s;  // most of it may go by writing what the guest has not written yet
constexpr auto go_on_limit = 10s, greet_limit = 20s;
constexpr auto clock_precision = 25ms;
constexpr int clock_attempts = 4;
constexpr auto pause_limit = 75s;  // QEMU waits a minute for a disk that is away
constexpr auto save_limit = 60s, wake_limit = 90s, look_limit = 30s;
constexpr auto sign_of_life_limit_of_blank = 3s;
constexpr std::uint64_t slowest_disk_bytes_per_s = 20 * MiB;

/// What a call may take that also copies so much RAM.
std::chrono::seconds with_copying(std::chrono::seconds limit, std::uint64_t memory_bytes) {
  return limit + std::chrono::seconds(memory_bytes / slowest_disk_bytes_per_s);
}

/// The saved memory in `directory`, if a machine of that spec can go on from it. Errors: corrupt (why it cannot), as
/// system_error.
Result<vm::MemoryImage> usable_memory(vm::Hypervisor& hypervisor, const Path& directory, const vm::MachineSpec& spec,
                                      vm::MemoryStamp wanted) {
  TRY_LET(auto image, vm::open_memory_image(directory));
  if (!image) return Error{Error::Kind::corrupt, "it is gone"};
  wanted.machine = hypervisor.compatibility(spec);
  if (std::string why = difference(image->stamp, wanted); !why.empty())
    return Error{Error::Kind::corrupt, std::move(why)};
  return *std::move(image);
}

/// The state of a VM that stands still. QEMU saves once per pause, and a killed daemon may have done so. One that was
/// given up is left to whoever did.
Result<> save_paused(vm::Hypervisor& hypervisor, const std::string& vm_id, const Path& state,
                     const std::atomic<bool>& given_up) {
  const auto saved = hypervisor.save(vm_id, state);
  if (saved || saved.error().kind == Error::Kind::busy) return saved;
  if (given_up) return Error{Error::Kind::busy, "the save was given up"};
  TRY(hypervisor.resume(vm_id));
  TRY(hypervisor.pause(vm_id));
  return hypervisor.save(vm_id, state);
}

/// Everything about a wake that may hang: until the saved memory is in the VM, too, whose processors have not run. A
/// blank is there already, its RAM that of a template.
struct Wake {
  std::shared_ptr<std::atomic<bool>> given_up;  ///< Nobody waits for it any more.
  Path memory{};
  bool into_blank = false;
  vm::MachineSpec spec{};
  vm::MemoryStamp wanted{};
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();

  /// What was loaded. The caller ends the VM after an error.
  Result<vm::MemoryImage> operator()(vm::Hypervisor& hypervisor) const {
    auto image = usable_memory(hypervisor, memory, spec, wanted);
    if (!image) return noticed_now(std::move(image).error());
    if (into_blank) {
      TRY(fill(*image));
    } else {
      TRY(start(hypervisor, *image));
    }
    failpoint(Failpoint::wake_filled);
    if (*given_up) return Error{Error::Kind::busy, "the wake was given up"};  // the id may be another's by now
    TRY(hypervisor.load(spec.id, image->state()));
    failpoint(Failpoint::wake_loaded);
    return image;
  }

 private:
  Result<> start(vm::Hypervisor& hypervisor, const vm::MemoryImage& image) const {
    ::unlink(spec.memory_file.c_str());
    TRY(vm::make_memory_file(spec.memory_file, spec.memory_bytes));
    auto filling = std::async(std::launch::async, [&] {
      auto filled = fill(image);
      if (!filled && !*given_up) (void)hypervisor.destroy(spec.id);  // nobody waits for a QEMU that is not needed
      return filled;
    });
    const auto started = hypervisor.start_waiting(spec);
    if (!started) *given_up = true;
    auto filled = filling.get();
    if (!filled && filled.error().kind != Error::Kind::busy) return filled;  // else it ended because the start failed
    TRY(started);
    return filled;
  }

  Result<> fill(const vm::MemoryImage& image) const {
    auto filled = vm::fill_memory(image, spec.memory_file, *given_up);
    if (filled) return filled;
    return noticed_now(std::move(filled).error());
  }

  Error noticed_now(Error why) const {
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
    if (why.kind == Error::Kind::corrupt) why.what += fmt::format(" (noticed after {:.0f} ms)", took.count());
    return why;
  }
};

Woken refused(const Error& why) {
  std::string text = why.what;
  for (const std::string& cause : why.because) text += ": " + cause;
  return Woken{Woken::From::refused, std::move(text)};
}

}  // namespace

asio::awaitable<Result<wire::Activity>> Machine::activity() {
  CO_TRY(co_await answers_within(sign_of_life_limit));
  CO_TRY_LET(Stream stream, open_stream());
  co_return co_await agent_client::activity(std::move(stream), host_.options().sleep_timer_floor, activity_limit);
}

asio::awaitable<Result<>> Machine::hold() {
  CO_TRY(co_await answers_within(sign_of_life_limit));
  CO_TRY_LET(Stream stream, open_stream());
  co_return co_await agent_client::hold(std::move(stream), hold_limit);
}

asio::awaitable<Result<>> Machine::pause(IfSilent if_silent) {
  if (waits_for_space()) {
    co_return Error(Error::Kind::no_space, "its writes wait for space on this computer's disk", "free some");
  }
  auto paused = co_await hold();
  failpoint(Failpoint::sleep_held);
  if (paused || if_silent == IfSilent::go_ahead) {
    auto pause = [id = vm_id()](vm::Hypervisor& hypervisor) { return hypervisor.pause(id); };
    paused = co_await host_.with_hypervisor("pausing the machine", pause, pause_limit);
  }
  failpoint(Failpoint::sleep_stopped);
  if (paused) co_return paused;
  if (auto stream = open_stream()) {
    (void)co_await agent_client::go_on(*std::move(stream), go_on_limit);
  }
  co_return paused;
}

asio::awaitable<Result<>> Machine::stand_still() {
  auto stand = [id = vm_id(), mark = standing_mark()](vm::Hypervisor& hypervisor) -> Result<> {
    TRY(open_file(mark, O_WRONLY | O_CREAT));
    return hypervisor.pause(id);
  };
  co_return co_await host_.with_hypervisor("pausing the machine", stand, pause_limit);
}

Result<> Machine::mark_copying() {
  TRY(open_file(copying_mark(), O_WRONLY | O_CREAT));
  return {};
}

void Machine::unmark_copying() { ::unlink(copying_mark().c_str()); }

bool Machine::is_being_copied() const { return ::access(copying_mark().c_str(), F_OK) == 0; }

bool Machine::stands_still() const { return ::access(standing_mark().c_str(), F_OK) == 0; }

asio::awaitable<Result<>> Machine::resume() {
  CO_TRY(co_await let_run());
  co_return co_await greet();
}

asio::awaitable<Result<>> Machine::let_run() {
  auto resume = [id = vm_id(),
                 marks = std::array{standing_mark(), copying_mark()}](vm::Hypervisor& hypervisor) -> Result<> {
    TRY(hypervisor.resume(id));
    failpoint(Failpoint::wake_running);
    for (const Path& mark : marks) ::unlink(mark.c_str());
    return {};
  };
  co_return co_await host_.with_hypervisor("resuming the machine", resume);
}

/// The clock is set, then programs run. The time that is sent is old when it arrives, so it is set again where that
/// took long, as with a machine that has just been loaded or a busy host. An agent that does not know of sleep learns
/// the time as one that is new does.
asio::awaitable<Result<>> Machine::greet() {
  if (!reachable()) {
    CO_TRY(co_await connect_agent(greet_limit));
  }
  if (is_to_be_renewed()) {
    CO_TRY(co_await configure_agent(go_on_limit));
  }
  Result<> gone_on;
  for (int attempt = 0; attempt < clock_attempts; ++attempt) {
    const auto begin = std::chrono::steady_clock::now();
    CO_TRY_LET(Stream stream, open_stream());
    gone_on = co_await agent_client::go_on(std::move(stream), go_on_limit);
    if (!gone_on || std::chrono::steady_clock::now() - begin < clock_precision) break;
  }
  if (!gone_on && gone_on.error().kind == Error::Kind::not_found) gone_on = co_await configure_agent(go_on_limit);
  co_return gone_on;
}

bool Machine::is_to_be_renewed() const { return ::access(renewal_mark().c_str(), F_OK) == 0; }

asio::awaitable<Result<vm::State>> Machine::vm_state() {
  auto look = [id = vm_id()](vm::Hypervisor& hypervisor) { return hypervisor.state(id); };
  co_return co_await host_.with_hypervisor("looking at the machine", look);
}

bool Machine::has_memory() const { return ::access(memory_directory().c_str(), F_OK) == 0; }

bool Machine::has_memory(const std::string& checkpoint) const {
  return ::access(checkpoint_memory(checkpoint).c_str(), F_OK) == 0;
}

std::uint64_t Machine::saved_memory_bytes() const {
  return bytes_on_disk(memory_directory()) + bytes_on_disk(checkpoint_memories());
}

Result<> Machine::forget_memory() {
  if (has_memory()) TRY(vm::consume_memory_image(memory_directory()));
  return forget_memory_remnants();
}

Result<> Machine::forget_memory(const std::string& checkpoint) {
  if (!has_memory(checkpoint)) return {};
  TRY(vm::consume_memory_image(checkpoint_memory(checkpoint)));
  return vm::remove_memory_remnants(checkpoint_memory(checkpoint));
}

Result<> Machine::forget_memory_remnants() {
  for (const Path& each : entries_of(checkpoint_memories()))
    if (each.has_extension()) TRY(remove_tree(each));  // what a crash left: whole ones are called as checkpoints are
  return vm::remove_memory_remnants(memory_directory());
}

Result<vm::MemoryStamp> Machine::stamp() const {
  TRY_LET(const image::Image image, host_.images().find(record_.image));
  return vm::MemoryStamp{
      .machine = {}, .image = record_.image, .agent_version = image.manifest.agent_version, .disk = {}};
}

asio::awaitable<Result<std::shared_ptr<Saving>>> Machine::begin_saving() {
  CO_TRY_LET(vm::MachineSpec spec, machine_spec());
  CO_TRY_LET(vm::MemoryStamp stamp, this->stamp());
  auto begin = [directory = memory_directory()] { return vm::MemoryImageWriter::begin(directory); };
  CO_TRY_LET(vm::MemoryImageWriter writer, co_await on_pool(host_.pool(), begin));
  if (is_to_be_renewed()) writer.mark_kept();  // whoever wakes it renews it
  auto saving = std::make_shared<Saving>(std::move(writer), spec.memory_file);
  auto save = [saving, volume = volume_, spec = std::move(spec),
               stamp = std::move(stamp)](vm::Hypervisor& hypervisor) mutable -> Result<> {
    stamp.machine = hypervisor.compatibility(spec);
    TRY(save_paused(hypervisor, spec.id, saving->writer.state(), saving->cancelled));
    failpoint(Failpoint::sleep_saved);
    TRY_LET(stamp.disk, volume->mark_instant());  // nothing was written since
    failpoint(Failpoint::sleep_cut);
    saving->stamp = std::move(stamp);
    return {};
  };
  CO_TRY(co_await host_.with_hypervisor("saving the machine", save, save_limit));
  co_return saving;
}

asio::awaitable<Result<>> Machine::copy_memory(std::shared_ptr<Saving> saving) {
  auto copy = [saving] { return saving->writer.copy(saving->memory_file, saving->stamp, saving->cancelled); };
  co_return co_await on_pool(host_.pool(), copy);
}

asio::awaitable<Result<>> Machine::finish_saving(std::shared_ptr<Saving> saving) {
  failpoint(Failpoint::sleep_copied);
  auto publish = [saving] { return saving->writer.publish(); };
  CO_TRY(co_await on_pool(host_.pool(), publish));
  failpoint(Failpoint::sleep_published);
  auto ended = co_await cut_power();
  if (ended) co_return ended;
  const bool gone = co_await has_ended();
  if (gone) {
    co_await let_go();
    co_return Result<>{};
  }
  auto forget = [directory = memory_directory()] { return vm::consume_memory_image(directory); };
  CO_TRY(co_await on_pool(host_.pool(), forget));  // the machine is there still, and may go on
  co_return ended;
}

asio::awaitable<Result<>> Machine::copy_memory_to(MemoryCopy to, std::function<Result<>(store::Volume&)> work) {
  CO_TRY_LET(vm::MachineSpec spec, machine_spec());
  const auto given_up = std::make_shared<std::atomic<bool>>(false);
  auto copy = [to, work = std::move(work), volume = volume_, spec = std::move(spec),
               given_up](vm::Hypervisor& hypervisor) -> Result<> {
    TRY(save_paused(hypervisor, spec.id, to.state, *given_up));
    failpoint(Failpoint::memory_saved);
    if (*given_up) return Error{Error::Kind::busy, "the copy was given up"};
    auto copying =
        std::async(std::launch::async, [&] { return vm::copy_memory_file(spec.memory_file, to.ram, *given_up); });
    const auto worked = work(*volume);
    failpoint(Failpoint::memory_cut);
    const auto copied = copying.get();
    failpoint(Failpoint::memory_copied);
    TRY(worked);
    return copied;
  };
  const auto limit = with_copying(save_limit, record_.memory_bytes);
  auto copied = co_await host_.with_hypervisor("copying the machine's memory", copy, limit);
  *given_up = true;
  co_return copied;
}

asio::awaitable<Result<std::shared_ptr<Saving>>> Machine::begin_checkpoint(
    std::function<Result<store::Checkpoint>(store::Volume&)> work) {
  CO_TRY_LET(vm::MachineSpec spec, machine_spec());
  CO_TRY_LET(vm::MemoryStamp stamp, this->stamp());
  auto begin = [place = checkpoint_memories() / "memory"] { return vm::MemoryImageWriter::begin(place); };
  CO_TRY_LET(vm::MemoryImageWriter writer, co_await on_pool(host_.pool(), begin));
  auto saving = std::make_shared<Saving>(std::move(writer), spec.memory_file);
  saving->stamp = std::move(stamp);
  auto save = [saving, volume = volume_, spec = std::move(spec),
               work = std::move(work)](vm::Hypervisor& hypervisor) -> Result<> {
    saving->stamp.machine = hypervisor.compatibility(spec);
    TRY(save_paused(hypervisor, spec.id, saving->writer.state(), saving->cancelled));
    failpoint(Failpoint::memory_saved);
    TRY(saving->writer.copy_ram(saving->memory_file, spec.memory_bytes, saving->cancelled));
    failpoint(Failpoint::memory_copied);
    TRY_LET(const store::Checkpoint made, work(*volume));
    saving->stamp.disk = made.instant;
    failpoint(Failpoint::memory_cut);
    return {};
  };
  const auto limit = with_copying(save_limit, record_.memory_bytes);
  auto saved = co_await host_.with_hypervisor("saving the machine", save, limit);
  if (saved) co_return saving;
  saving->cancelled = true;
  co_return std::move(saved).error();
}

asio::awaitable<Result<>> Machine::finish_checkpoint(std::shared_ptr<Saving> saving, store::Checkpoint of) {
  auto finish = [saving, place = checkpoint_memory(name_of(of))]() -> Result<> {
    TRY(saving->writer.finish(saving->stamp));
    failpoint(Failpoint::memory_finished);
    TRY(saving->writer.publish_as(place));
    failpoint(Failpoint::memory_published);
    return {};
  };
  co_return co_await on_pool(host_.pool(), finish);
}

asio::awaitable<Result<>> Machine::check_checkpoint_memory(store::Checkpoint checkpoint) {
  CO_TRY_LET(vm::MachineSpec spec, machine_spec());
  CO_TRY_LET(vm::MemoryStamp wanted, stamp());
  wanted.disk = checkpoint.instant;
  const auto given_up = std::make_shared<std::atomic<bool>>(false);
  auto check = [directory = checkpoint_memory(name_of(checkpoint)), spec = std::move(spec), wanted = std::move(wanted),
                given_up](vm::Hypervisor& hypervisor) -> Result<> {
    TRY_LET(const vm::MemoryImage image, usable_memory(hypervisor, directory, spec, wanted));
    return vm::verify_memory(image, *given_up);
  };
  const auto limit = with_copying(look_limit, record_.memory_bytes);
  auto checked = co_await host_.with_hypervisor("looking at saved memory", check, limit);
  *given_up = true;
  co_return checked;
}

asio::awaitable<Result<>> Machine::copy_saved_to(MemoryCopy to, Path directory, std::string disk) {
  CO_TRY_LET(vm::MachineSpec spec, machine_spec());
  CO_TRY_LET(vm::MemoryStamp wanted, stamp());
  wanted.disk = std::move(disk);
  const auto given_up = std::make_shared<std::atomic<bool>>(false);
  auto copy = [to, directory, spec = std::move(spec), wanted = std::move(wanted),
               given_up](vm::Hypervisor& hypervisor) -> Result<> {
    TRY_LET(const vm::MemoryImage image, usable_memory(hypervisor, directory, spec, wanted));
    TRY(vm::fill_memory(image, to.ram, *given_up));
    std::error_code failed;
    std::filesystem::copy_file(image.state(), to.state, failed);
    return failed ? system_error("cannot copy '" + image.state().string() + "'", failed.value()) : Result<>();
  };
  const auto limit = with_copying(save_limit, record_.memory_bytes);
  auto copied = co_await host_.with_hypervisor("copying saved memory", copy, limit);
  *given_up = true;
  co_return copied;
}

/// One that was kept ready may stand still for a reason of its own; that it does not answer is better known before it
/// has anything to lose.
asio::awaitable<Result<>> Machine::blank_lives() {
  auto ask = [id = vm_id()](vm::Hypervisor& hypervisor) { return hypervisor.ask(id); };
  co_return co_await host_.with_hypervisor("asking the machine that was kept ready", ask, sign_of_life_limit_of_blank);
}

asio::awaitable<Result<Woken>> Machine::wake(std::optional<Blank> blank) {
  CO_TRY(co_await host_.hypervisor());
  const auto given_up = std::make_shared<std::atomic<bool>>(false);
  Wake wake{.given_up = given_up, .memory = memory_directory(), .into_blank = blank.has_value()};
  if (blank) disk_ = std::move(blank->disks);
  auto serve = [this, &wake]() -> Result<> {
    TRY_LET(wake.spec, machine_spec());
    TRY_LET(wake.wanted, stamp());
    TRY(serve_disk());
    if (wake.into_blank) TRY(disk_->bind(volume_));
    TRY_LET(const auto instant, volume_->instant());
    wake.wanted.disk = instant.value_or("");
    return {};
  };
  Result<> ready = co_await on_pool(host_.pool(), serve);
  if (ready && wake.into_blank) ready = co_await blank_lives();
  if (!ready) {
    (void)co_await cut_power();  // the first failure is the one to tell
    co_return ready.error();
  }
  const auto limit = with_copying(wake_limit, record_.memory_bytes);
  auto loaded = co_await host_.with_hypervisor("waking the machine", wake, limit);
  *given_up = true;
  if (loaded) co_return co_await go_on_with_loaded(loaded->is_kept);
  (void)co_await cut_power();  // the first failure is the one to tell
  if (loaded.error().kind != Error::Kind::corrupt) co_return std::move(loaded).error();
  auto forget = [this] { return forget_memory(); };
  CO_TRY(co_await on_pool(host_.pool(), forget));
  co_return refused(loaded.error());
}

/// From the use of the saved memory on it is in the VM only, which is ended no more as long as it is there; if it ended
/// before it ran, the memory is saved as before. Until then a VM that stands still is taken for one that never ran.
asio::awaitable<Result<Woken>> Machine::go_on_with_loaded(bool is_kept) {
  auto use_up = [this, is_kept]() -> Result<> {
    TRY(hidden_vms::hand_over(host_, vm_id()));
    ::unlink(renewal_mark().c_str());  // what is left of one that ended
    if (is_kept) TRY(open_file(renewal_mark(), O_WRONLY | O_CREAT));
    TRY(vm::consume_memory_image(memory_directory()));
    failpoint(Failpoint::wake_used_up);
    return {};
  };
  auto used_up = co_await on_pool(host_.pool(), use_up);
  if (!used_up && has_memory()) {
    (void)co_await cut_power();  // the first failure is the one to tell
    co_return std::move(used_up).error();
  }
  auto gone_on = co_await let_run();
  const bool runs = gone_on.has_value();
  if (runs) {
    auto remove_used = [directory = memory_directory()] { (void)vm::remove_memory_remnants(directory); };
    asio::post(host_.pool(), remove_used);  // else the next start of the daemon does
    gone_on = co_await greet();
  }
  if (gone_on) {
    failpoint(Failpoint::wake_greeted);
    co_return Woken{Woken::From::memory, {}};
  }
  const bool gone = co_await has_ended();
  if (!gone) {
    link_.reset();  // whoever touches it next connects and greets it anew
    co_return std::move(gone_on).error();
  }
  (void)co_await cut_power();  // what it left behind
  if (!runs) {
    auto put_back = [directory = memory_directory()] { return vm::restore_consumed_image(directory); };
    CO_TRY(co_await on_pool(host_.pool(), put_back));
    co_return std::move(gone_on).error();
  }
  co_return Woken{Woken::From::refused, "its machine ended as it woke: " + gone_on.error().what};
}

}  // namespace sprite
