#include "vm/libvirt.h"

#include <libvirt/libvirt-qemu.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <thread>

#include "base/locked.h"
#include "base/text.h"
#include "vm/connection.h"
#include "vm/console_log.h"
#include "vm/domain_xml.h"
#include "vm/keeper.h"
#include "vm/machine_files.h"
#include "vm/monitor.h"
#include "vm/qemu_logs.h"
#include "vm/state_socket.h"

/// States. A machine is in `machines` from the start of start() until its files are gone: starting, running (also
/// while paused), ending. QEMU's event "shutdown" or libvirt's "stopped", whichever is first, ends a running machine:
/// QEMU killed, files removed, on_ended called, on the event thread. For one that is starting it is only noted, and
/// start() fails with it; for one that is ending, destroy() does the rest.
///
/// Locks. `shared_` is held for moments and never across a call of libvirt or a callback. Domain events arrive on the
/// event thread, which must not call libvirt; the keeper thread may: every 2 s it trims the consoles, removes
/// logs and resumes what a disk error paused. pause() takes `resuming_` for a moment, so that the keeper resumes
/// nothing once it has returned. `ending_` is held while a process is killed and its files are removed, never across a
/// call of libvirt: the event thread and destroy() may both end a machine, and the slower one must not meet the process
/// and files of its next start. `ending_` and `resuming_` are taken before `shared_`.
///
/// Domains. Every start makes a domain with a UUID of its own, so that nothing waits for libvirt to clear away the one
/// before: it polls until init has reaped the process. A machine is gone when its QEMU is.
///
/// After a kill -9 of us QEMU and passt go on. The next open_libvirt() finds them through libvirt's own state files and
/// our records.
namespace sprite::vm {
namespace {

using namespace std::chrono_literals;

struct Machine {
  enum class Phase { starting, running, ending };
  Phase phase = Phase::starting;
  Record record;
  bool stalled = false;  ///< A disk error paused it.
  bool held = false;     ///< pause() was the last word, so the keeper leaves it.
  bool waiting = false;  ///< For load().
  std::optional<std::string> ended;
};

struct Shared {
  std::map<std::string, Machine> machines;
  std::function<void(const std::string&, const std::string&)> on_ended;
};

Result<> link_channel(const Record& record) {
  return link_to(channel_listener(record.channel_socket, record.domain_id), record.channel_socket);
}

/// A SHUTDOWN event of QEMU in words; empty for one that the guest did not cause.
std::string shutdown_reason(std::string_view details) {
  if (details.find("\"guest-shutdown\"") != std::string_view::npos) return "the guest shut down";
  if (details.find("\"guest-reset\"") != std::string_view::npos) return "the guest rebooted";
  if (details.find("\"guest-panic\"") != std::string_view::npos) return "the guest's kernel panicked";
  return {};
}

/// The machine that runs as that domain, or null.
Machine* by_domain(Shared& shared, const std::string& domain_id) {
  for (auto& [id, machine] : shared.machines)
    if (machine.record.domain_id == domain_id) return &machine;
  return nullptr;
}

std::string domain_id_of(virDomainPtr domain) {
  char uuid[VIR_UUID_STRING_BUFLEN] = {};
  virDomainGetUUIDString(domain, uuid);
  return uuid;
}

class Libvirt final : public Hypervisor {
 public:
  Libvirt(Opened opened, const Path& directory)
      : opened_(std::move(opened)), records_(directory / "machines"), logs_(opened_.log_directory, opened_.log_owner) {}
  ~Libvirt() override;

  /// Listens to events and learns which machines exist. Errors: unavailable, as system_error.
  Result<> adopt();

  Facts facts() override { return opened_.facts; }
  Result<> start(const MachineSpec& spec) override { return start(spec, Beginning::boot); }
  Result<> start_waiting(const MachineSpec& spec) override { return start(spec, Beginning::wait); }
  Result<> load(const std::string& id, const Path& state) override;
  Result<> save(const std::string& id, const Path& state) override;
  Compatibility compatibility(const MachineSpec& spec) override;
  Result<State> state(const std::string& id) override;
  Result<> ask(const std::string& id) override;
  Result<std::vector<std::string>> list() override;
  Result<> pause(const std::string& id) override;
  Result<> resume(const std::string& id) override;
  Result<> destroy(const std::string& id) override;
  void on_ended(std::function<void(const std::string&, const std::string&)> callback) override {
    shared_.with([&](Shared& shared) { shared.on_ended = std::move(callback); });
  }

 private:
  static void on_event(virConnectPtr, virDomainPtr domain, int event, int detail, void* self);
  static void on_qemu_event(virConnectPtr, virDomainPtr domain, const char*, long long, unsigned, const char* details,
                            void* self);
  void ended(const std::string& domain_id, const std::string& reason);
  std::string why_stopped(const std::string& domain_id, int detail);
  void set_stalled(const std::string& domain_id, bool stalled);
  void set_held(const std::string& id, bool held);
  void set_waiting(const std::string& id, bool waiting);
  Result<> note_whether_it_waits(const Record& record);

  Result<> start(const MachineSpec& spec, Beginning beginning);
  Result<> claim(const MachineSpec& spec, const Record& record, Beginning beginning);
  Result<> launch(const MachineSpec& spec, const Record& record, Beginning beginning);
  Result<> settle(const std::string& id);
  void forget(const Record& record);
  void forget_ended(const Record& record);
  bool has_started(const Record& record);
  std::optional<Machine> machine(const std::string& id);
  Result<std::optional<Domain>> find(const std::string& domain_id);
  Result<Domain> require(const std::string& id);
  Result<> end_start(const Record& record);
  Result<> destroy_domain(const std::string& domain_id);
  Result<> await_transfer(const std::string& id, virDomainPtr domain);
  Result<> check_held(const std::string& id, virDomainPtr domain);
  Result<> resume_domain(const std::string& id, virDomainPtr domain);

  void keep();
  void resume_stalled(const std::string& id);

  Opened opened_;
  Records records_;
  QemuLogs logs_;
  Locked<Shared> shared_;
  std::mutex resuming_;   ///< Held while the keeper, or a save that came too late, decides and resumes.
  std::mutex ending_;     ///< Held while a machine's process is killed and its files are removed.
  std::mutex admitting_;  ///< Held while the room for a machine's memory is looked for and taken.
  int lifecycle_callback_ = -1, shutdown_callback_ = -1;
  std::optional<Keeper> keeper_;  // last: it uses all of the above
};

Libvirt::~Libvirt() {
  keeper_.reset();
  virConnectPtr connection = opened_.connection.get();
  if (lifecycle_callback_ >= 0) virConnectDomainEventDeregisterAny(connection, lifecycle_callback_);
  if (shutdown_callback_ >= 0) virConnectDomainQemuMonitorEventDeregister(connection, shutdown_callback_);
  opened_.events->wait_for_callbacks();  // one that is under way uses us
}

Result<> Libvirt::adopt() {
  virConnectPtr connection = opened_.connection.get();
  lifecycle_callback_ = virConnectDomainEventRegisterAny(connection, nullptr, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                                         VIR_DOMAIN_EVENT_CALLBACK(&Libvirt::on_event), this, nullptr);
  shutdown_callback_ = virConnectDomainQemuMonitorEventRegister(connection, nullptr, "SHUTDOWN",
                                                                &Libvirt::on_qemu_event, this, nullptr, 0);
  if (lifecycle_callback_ < 0 || shutdown_callback_ < 0) return libvirt_error("cannot listen to libvirt's events");
  TRY_LET(const std::vector<Record> records, records_.all());
  for (const Record& record : records) {
    shared_.with([&](Shared& shared) {
      shared.machines[record.id] = Machine{.phase = Machine::Phase::running, .record = record, .ended = {}};
    });
    TRY_LET(const State now, state(record.id));
    if (now == State::absent || !has_started(record)) {
      (void)kill_process(record.runtime_directory);  // ignoring: libvirt kills it as well
      forget(record);
      continue;
    }
    (void)link_channel(record);  // its start may not have come to that; whoever cannot connect says so
    if (now == State::stalled) set_stalled(record.domain_id, true);
    if (now == State::paused) {
      set_held(record.id, true);
      TRY(note_whether_it_waits(record));
    }
  }
  std::vector<std::string> domains;
  for (const Record& record : records) domains.push_back(record.domain_id);
  logs_.remove_but_of(domains);
  keeper_.emplace(2s, [this] { keep(); });
  return {};
}

Result<> Libvirt::note_whether_it_waits(const Record& record) {
  TRY_LET(const Domain domain, require(record.id));
  TRY_LET(const bool waits, awaits_state(domain.get()));
  set_waiting(record.id, waits);
  return {};
}

/// False for a machine whose start an earlier process of ours did not live to finish: it never ran, libvirt gives it up
/// when it finds the time, and nobody can talk to it until then.
bool Libvirt::has_started(const Record& record) {
  if (!process_lives(record.runtime_directory)) return false;
  const auto domain = find(record.domain_id);
  int state = 0, reason = 0;
  if (!domain || !*domain || virDomainGetState((*domain)->get(), &state, &reason, 0) != 0) return true;  // unknown
  return state != VIR_DOMAIN_PAUSED || reason != VIR_DOMAIN_PAUSED_STARTING_UP;
}

// Events.

void Libvirt::on_event(virConnectPtr, virDomainPtr domain, int event, int detail, void* self) {
  auto& that = *static_cast<Libvirt*>(self);
  const std::string id = domain_id_of(domain);
  if (event == VIR_DOMAIN_EVENT_STOPPED) that.ended(id, that.why_stopped(id, detail));
  if (event == VIR_DOMAIN_EVENT_SUSPENDED && detail == VIR_DOMAIN_EVENT_SUSPENDED_IOERROR) that.set_stalled(id, true);
  if (event == VIR_DOMAIN_EVENT_RESUMED) that.set_stalled(id, false);
}

/// QEMU's own event says more than libvirt's: whether the guest powered off or rebooted.
void Libvirt::on_qemu_event(virConnectPtr, virDomainPtr domain, const char*, long long, unsigned, const char* details,
                            void* self) {
  const std::string reason = shutdown_reason(details ? details : "");
  if (!reason.empty()) static_cast<Libvirt*>(self)->ended(domain_id_of(domain), reason);
}

/// Also kills: a guest that shut down leaves a QEMU with stopped processors, and libvirt takes its time with it.
void Libvirt::ended(const std::string& domain_id, const std::string& reason) {
  std::function<void(const std::string&, const std::string&)> callback;
  std::unique_lock hold(ending_);
  const auto record = shared_.with([&](Shared& shared) -> std::optional<Record> {
    Machine* const machine = by_domain(shared, domain_id);
    if (!machine) return std::nullopt;
    machine->ended = reason;
    if (machine->phase != Machine::Phase::running) return std::nullopt;
    machine->phase = Machine::Phase::ending;
    callback = shared.on_ended;
    return machine->record;
  });
  if (!record) return;
  (void)kill_process(record->runtime_directory);  // ignoring: libvirt kills it as well
  forget_ended(*record);
  hold.unlock();
  if (callback) callback(record->id, reason);
}

std::string Libvirt::why_stopped(const std::string& domain_id, int detail) {
  if (detail == VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN) return "the guest shut down";
  if (detail == VIR_DOMAIN_EVENT_STOPPED_DESTROYED) return "somebody destroyed it through libvirt";
  std::string reason = detail == VIR_DOMAIN_EVENT_STOPPED_CRASHED ? "the guest crashed" : "QEMU ended unexpectedly";
  const auto words = logs_.last_words_of(domain_id);
  return words.empty() ? reason : reason + ": " + join(words, "; ");
}

void Libvirt::set_stalled(const std::string& domain_id, bool stalled) {
  shared_.with([&](Shared& shared) {
    if (Machine* const machine = by_domain(shared, domain_id)) machine->stalled = stalled;
  });
}

// Start.

Result<> Libvirt::start(const MachineSpec& spec, Beginning beginning) {
  TRY(check_spec(spec));
  const Record record = record_of(spec, random_uuid());
  TRY(claim(spec, record, beginning));
  auto launched = launch(spec, record, beginning);
  if (launched) launched = settle(spec.id);
  if (launched) return {};
  (void)kill_process(record.runtime_directory);  // one that destroy() wanted to end may have come up all the same
  forget(record);
  return std::move(launched).error().within("cannot start the machine of '" + spec.hostname + "'");
}

Result<> Libvirt::claim(const MachineSpec& spec, const Record& record, Beginning beginning) {
  const Machine machine{.record = record, .waiting = beginning == Beginning::wait, .ended = {}};
  const bool is_new =
      shared_.with([&](Shared& shared) { return shared.machines.try_emplace(spec.id, machine).second; });
  if (is_new) return {};
  return Error{Error::Kind::exists, "the machine of '" + spec.hostname + "' exists already", {}, {}};
}

/// A waiting machine is made paused: else libvirt would take it for one that runs.
Result<> Libvirt::launch(const MachineSpec& spec, const Record& record, Beginning beginning) {
  const bool waits = beginning == Beginning::wait;
  TRY(records_.write(record));
  TRY(make_directories(spec.runtime_directory));
  TRY(make_directories(spec.console_log.parent_path()));
  {
    const std::lock_guard one_at_a_time(admitting_);  // what one finds free must not be what another takes
    TRY(make_memory_file(spec.memory_file, spec.memory_bytes, waits ? Content::kept : Content::none));
  }
  if (opened_.platform.network == Network::passt) {
    TRY(start_network(spec.runtime_directory));
  }
  const std::string xml = domain_xml(spec, record.domain_id, opened_.platform, beginning);
  const Domain domain(virDomainCreateXML(opened_.connection.get(), xml.c_str(), waits ? VIR_DOMAIN_START_PAUSED : 0));
  if (!domain) return libvirt_error("QEMU did not start");
  return link_channel(record);
}

/// From here on its end is an event for on_ended; one that was there before is our failure.
Result<> Libvirt::settle(const std::string& id) {
  const auto ended = shared_.with([&](Shared& shared) {
    Machine& machine = shared.machines.at(id);
    if (!machine.ended) machine.phase = Machine::Phase::running;
    return machine.ended;
  });
  if (!ended) return {};
  return Error{Error::Kind::unavailable, "the machine ended while it started", {}, {*ended}};
}

void Libvirt::forget(const Record& record) {
  const std::lock_guard hold(ending_);
  forget_ended(record);
}

/// The caller holds ending_. Does nothing if another was quicker: the files may already be those of a new domain.
void Libvirt::forget_ended(const Record& record) {
  const auto known = machine(record.id);
  if (!known || known->record.domain_id != record.domain_id) return;
  remove_files(record);
  records_.remove(record.id);
  shared_.with([&](Shared& shared) { shared.machines.erase(record.id); });
  logs_.note_ended(record.domain_id);
}

// The life between.

std::optional<Machine> Libvirt::machine(const std::string& id) {
  return shared_.with([&](Shared& shared) {
    const auto found = shared.machines.find(id);
    return found == shared.machines.end() ? std::nullopt : std::optional(found->second);
  });
}

Result<std::optional<Domain>> Libvirt::find(const std::string& domain_id) {
  Domain domain(virDomainLookupByUUIDString(opened_.connection.get(), domain_id.c_str()));
  if (domain) return std::optional<Domain>(std::move(domain));
  Error error = libvirt_error("cannot look for domain '" + domain_id + "'");
  if (error.kind == Error::Kind::not_found) return std::optional<Domain>();
  return error;
}

Result<Domain> Libvirt::require(const std::string& id) {
  if (const auto known = machine(id)) {
    TRY_LET(auto domain, find(known->record.domain_id));
    if (domain) return std::move(*domain);
  }
  return Error{Error::Kind::not_found, "there is no machine '" + id + "'", {}, {}};
}

Result<> Libvirt::ask(const std::string& id) {
  TRY_LET(const Domain domain, require(id));
  TRY(awaits_state(domain.get()));
  return {};
}

Result<State> Libvirt::state(const std::string& id) {
  const auto known = machine(id);
  if (!known) return State::absent;
  // libvirt may take seconds to notice that a QEMU was killed.
  if (known->phase == Machine::Phase::running && !process_lives(known->record.runtime_directory)) return State::absent;
  TRY_LET(const auto domain, find(known->record.domain_id));
  if (!domain) return State::absent;
  int state = 0, reason = 0;
  if (virDomainGetState(domain->get(), &state, &reason, 0) != 0) {
    Error error = libvirt_error("cannot ask for the state of machine '" + id + "'");
    if (error.kind == Error::Kind::not_found) return State::absent;
    return error;
  }
  switch (state) {
    case VIR_DOMAIN_PAUSED:
      if (known->waiting) return State::waiting;
      return reason == VIR_DOMAIN_PAUSED_IOERROR && !known->held ? State::stalled : State::paused;
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_PMSUSPENDED:
    case VIR_DOMAIN_SHUTDOWN: return State::running;  // shutting down, but QEMU is still there
    default: return State::absent;
  }
}

Result<std::vector<std::string>> Libvirt::list() {
  const auto known = shared_.with([](Shared& shared) {
    std::vector<std::string> ids;
    for (const auto& [id, machine] : shared.machines)
      if (machine.phase == Machine::Phase::running) ids.push_back(id);
    return ids;
  });
  std::vector<std::string> present;
  for (const std::string& id : known) {
    TRY_LET(const State now, state(id));
    if (now != State::absent) present.push_back(id);
  }
  return present;
}

// Saved states.

void Libvirt::set_waiting(const std::string& id, bool waiting) {
  shared_.with([&](Shared& shared) {
    if (const auto found = shared.machines.find(id); found != shared.machines.end()) found->second.waiting = waiting;
  });
}

Compatibility Libvirt::compatibility(const MachineSpec& spec) {
  const Facts& facts = opened_.facts;
  return {.qemu_version = facts.qemu_version,
          .machine_type = facts.machine_type,
          .accelerator = facts.accelerator == Accelerator::kvm ? "kvm" : "emulation",
          .cpu = facts.cpu,
          .devices = devices_checksum(spec, opened_.platform),
          .memory_bytes = spec.memory_bytes,
          .vcpus = spec.vcpus};
}

Result<> Libvirt::save(const std::string& id, const Path& state) {
  const std::string doing = "cannot save the state of machine '" + id + "'";
  TRY_LET(const Domain domain, require(id));
  TRY_LET(const State now, this->state(id));
  if (now != State::paused) return Error{Error::Kind::invalid, doing, {}, {"it is not paused"}};
  const auto known = machine(id);
  if (!known) return Error{Error::Kind::not_found, doing, {}, {"it is gone"}};
  TRY_LET(const Fd file, open_file(state, O_WRONLY | O_CREAT | O_EXCL));
  const auto saved = [&]() -> Result<> {
    TRY(leave_memory_to_its_file(domain.get()));
    TRY_LET(StateSocket socket, StateSocket::listen(state_socket(known->record.runtime_directory)));
    TRY(send_state_to(domain.get(), state_socket(known->record.runtime_directory)));
    TRY(socket.receive(file));
    TRY(await_transfer(id, domain.get()));
    return check_held(id, domain.get());
  }();
  if (saved) return {};
  ::unlink(state.c_str());
  return Error(saved.error()).within(doing);
}

/// A save that hung may come to its end when whoever wanted it has given up and let the machine go on, which QEMU then
/// stops: the state is of no instant, and the machine goes on.
Result<> Libvirt::check_held(const std::string& id, virDomainPtr domain) {
  const std::lock_guard nobody_pauses(resuming_);
  const auto known = machine(id);
  if (!known || known->held) return {};
  TRY(resume_domain(id, domain));
  return Error{Error::Kind::busy, "it was resumed meanwhile", {}, {}};
}

Result<> Libvirt::load(const std::string& id, const Path& state) {
  const std::string doing = "cannot load a state into machine '" + id + "'";
  TRY_LET(const Domain domain, require(id));
  const auto known = machine(id);
  if (!known || !known->waiting) return Error{Error::Kind::invalid, doing, {}, {"it does not wait for one"}};
  const auto loaded = [&]() -> Result<> {
    const Path socket = state_socket(known->record.runtime_directory);
    TRY(leave_memory_to_its_file(domain.get()));
    TRY(await_state_at(domain.get(), socket));
    const auto sent = send_state(state, socket);
    ::unlink(socket.c_str());
    TRY(await_transfer(id, domain.get()));  // knows better than the sender what went wrong
    return sent;
  }();
  if (!loaded) return Error(loaded.error()).within(doing);
  set_waiting(id, false);
  set_held(id, true);
  return {};
}

/// Waits until QEMU has sent or taken a state. One that it cannot take ends it.
Result<> Libvirt::await_transfer(const std::string& id, virDomainPtr domain) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (std::chrono::steady_clock::now() < deadline) {
    auto transfer = transfer_of_state(domain);
    const auto known = machine(id);
    if (!transfer || *transfer == Transfer::failed || !known || known->ended) {
      auto words = logs_.last_words_of(domain_id_of(domain));
      if (tell_of_error(words) || (transfer && *transfer == Transfer::failed))
        return Error{Error::Kind::corrupt, "QEMU gave up", {}, std::move(words)};
      const bool ended = !known || known->ended || !process_lives(known->record.runtime_directory);
      if (!transfer) words.push_back(transfer.error().what);
      return Error{Error::Kind::unavailable, ended ? "QEMU ended" : "QEMU did not answer", {}, std::move(words)};
    }
    if (*transfer == Transfer::completed) return {};
    std::this_thread::sleep_for(1ms);
  }
  return Error{Error::Kind::unavailable, "QEMU did not finish within 20 s", {}, {}};
}

// Pausing.

Result<> Libvirt::pause(const std::string& id) {
  TRY_LET(const Domain domain, require(id));
  set_held(id, true);
  if (virDomainSuspend(domain.get()) != 0) return libvirt_error("cannot pause machine '" + id + "'");
  return {};
}

Result<> Libvirt::resume(const std::string& id) {
  TRY_LET(const Domain domain, require(id));
  set_held(id, false);
  TRY_LET(const State now, state(id));
  if (now == State::running) return {};
  auto resumed = resume_domain(id, domain.get());
  const auto known = machine(id);
  const bool is_the_same = known && known->record.domain_id == domain_id_of(domain.get());
  if (!resumed && is_the_same) set_held(id, true);  // it stands still yet
  return resumed;
}

/// While QEMU still sends a state, for somebody who gave up, it lets nothing run. Two may resume at once: the save that
/// came to its end, and whoever wants the machine to go on.
Result<> Libvirt::resume_domain(const std::string& id, virDomainPtr domain) {
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  for (bool last = false;;) {
    if (virDomainResume(domain) == 0) return {};
    Error error = libvirt_error("cannot resume machine '" + id + "'");
    int state = 0;
    if (virDomainGetState(domain, &state, nullptr, 0) == 0 && state == VIR_DOMAIN_RUNNING) return {};
    if (last || std::chrono::steady_clock::now() > deadline) return error;
    const auto transfer = transfer_of_state(domain);
    last = !transfer || *transfer != Transfer::under_way;
    std::this_thread::sleep_for(10ms);
  }
}

void Libvirt::set_held(const std::string& id, bool held) {
  const std::lock_guard keeper_is_out(resuming_);
  shared_.with([&](Shared& shared) {
    if (const auto found = shared.machines.find(id); found != shared.machines.end()) found->second.held = held;
  });
}

/// QEMU is killed and libvirt left to notice: asked politely, QEMU would first wait for its disk, for as long as that
/// may be away.
Result<> Libvirt::destroy(const std::string& id) {
  std::unique_lock hold(ending_);
  const auto known = shared_.with([&](Shared& shared) -> std::optional<Machine> {
    const auto found = shared.machines.find(id);
    if (found == shared.machines.end()) return std::nullopt;
    const Machine before = found->second;
    if (before.phase == Machine::Phase::starting) found->second.ended = "it was to be ended";
    if (before.phase == Machine::Phase::running) found->second.phase = Machine::Phase::ending;
    return before;
  });
  if (!known) return {};
  if (known->phase == Machine::Phase::starting) {
    hold.unlock();
    return end_start(known->record);
  }
  TRY_LET(const bool killed, kill_process(known->record.runtime_directory));
  if (!killed) {
    hold.unlock();
    TRY(destroy_domain(known->record.domain_id));
    hold.lock();
  }
  forget_ended(known->record);
  return {};
}

/// For a start that hangs: without its QEMU it fails, and removes the files.
Result<> Libvirt::end_start(const Record& record) {
  const auto deadline = std::chrono::steady_clock::now() + 5s;
  for (;;) {
    const auto now = machine(record.id);
    if (!now || now->record.domain_id != record.domain_id) return {};
    (void)kill_process(record.runtime_directory);  // ignoring: tried again
    if (std::chrono::steady_clock::now() > deadline)
      return Error{
          Error::Kind::unavailable, "machine '" + record.id + "' is starting, and libvirt does not answer", {}, {}};
    std::this_thread::sleep_for(20ms);
  }
}

Result<> Libvirt::destroy_domain(const std::string& domain_id) {
  TRY_LET(const auto domain, find(domain_id));
  if (!domain || virDomainDestroy(domain->get()) == 0) return {};
  Error error = libvirt_error("cannot destroy domain '" + domain_id + "'");
  if (virDomainIsActive(domain->get()) != 1) return {};  // it ended meanwhile
  return error;
}

// The keeper.

void Libvirt::keep() {
  const auto machines = shared_.with([](Shared& shared) { return shared.machines; });
  for (const auto& [id, machine] : machines) {
    if (machine.phase != Machine::Phase::running) continue;
    (void)trim_console(machine.record.console_log);  // tried again in 2 s
    if (machine.stalled) resume_stalled(id);
  }
  logs_.remove_of_ended([this](const std::string& domain_id) {
    const auto domain = find(domain_id);
    return domain && !*domain;
  });
}

void Libvirt::resume_stalled(const std::string& id) {
  const std::lock_guard hold(resuming_);
  const auto now = machine(id);
  if (!now || !now->stalled || now->held) return;
  const auto domain = find(now->record.domain_id);
  if (!domain || !*domain) return;
  int state = 0, reason = 0;
  if (virDomainGetState((*domain)->get(), &state, &reason, 0) != 0) return;
  if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_IOERROR)
    virDomainResume((*domain)->get());  // a disk that still fails pauses it again
  else
    set_stalled(now->record.domain_id, false);
}

}  // namespace

Result<std::unique_ptr<Hypervisor>> open_libvirt(LibvirtOptions options) {
  TRY_LET(Opened opened, open_connection(options));
  auto hypervisor = std::make_unique<Libvirt>(std::move(opened), options.directory);
  TRY(hypervisor->adopt());
  return std::unique_ptr<Hypervisor>(std::move(hypervisor));
}

}  // namespace sprite::vm
