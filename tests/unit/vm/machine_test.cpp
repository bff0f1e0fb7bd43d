/// Real machines on a real QEMU: what libvirt.h promises, from start to the crash of everything.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <future>
#include <optional>
#include <thread>

#include "base/locked.h"
#include "base/text.h"
#include "base/unix_socket.h"
#include "machine_rig.h"
#include "vm/machine_files.h"
#include "vm/network.h"

using namespace sprite;
using namespace sprite::vm;
using namespace std::chrono_literals;
using test::DiskServer;
using test::eventually;
using test::Rig;

namespace {

#define REQUIRE_OK(...)                                               \
  do {                                                                \
    const auto result = (__VA_ARGS__);                                \
    REQUIRE_MESSAGE(result, (result ? "" : to_text(result.error()))); \
  } while (false)

constexpr auto write_disk = "dd if=/dev/zero of=/dev/vda bs=64k count=4 oflag=direct conv=fsync 2>/dev/null";

pid_t process_of(const MachineSpec& spec) { return std::stoi(*read_file(pid_file(spec.runtime_directory))); }

/// Nothing of the machine is left, neither file nor network helper.
bool is_gone(const MachineSpec& spec) {
  const auto helper =
      run_process({"pgrep", "-f",
                   "chdir=" + spec.runtime_directory.string() + "|" + spec.runtime_directory.string() + "/passt.log"});
  const bool helper_gone = !helper || helper->exit_status != 0;
  return !std::filesystem::exists(spec.memory_file) && !std::filesystem::exists(spec.channel_socket) &&
         !std::filesystem::exists(spec.runtime_directory / "net") &&
         !std::filesystem::exists(pid_file(spec.runtime_directory)) && helper_gone;
}

class Ends {
 public:
  void watch(Hypervisor& hypervisor) {
    hypervisor.on_ended([seen = seen_](const std::string& id, const std::string& reason) {
      seen->with([&](auto& list) { list.push_back(id + ": " + reason); });
    });
  }
  std::vector<std::string> now() {
    return seen_->with([](auto& list) { return list; });
  }

 private:
  // The hypervisor may call when the test that watched is over.
  std::shared_ptr<Locked<std::vector<std::string>>> seen_ = std::make_shared<Locked<std::vector<std::string>>>();
};

}  // namespace

TEST_CASE("a machine starts, pauses, resumes and is destroyed without a trace") {
  Rig& rig = Rig::instance();
  const DiskServer disk(rig.directory());
  Hypervisor* const hypervisor = rig.open();
  Ends ends;
  ends.watch(*hypervisor);
  const MachineSpec spec = rig.spec(1);
  CHECK(*hypervisor->state(spec.id) == State::absent);

  REQUIRE_OK(hypervisor->start(spec));
  CHECK(*hypervisor->list() == std::vector{spec.id});
  CHECK(std::filesystem::file_size(spec.memory_file) == spec.memory_bytes);
  const auto again = hypervisor->start(spec);
  REQUIRE_FALSE(again);
  CHECK(again.error().kind == Error::Kind::exists);

  const auto answer = Rig::run(spec, "test -b /dev/vda && uname -s && cat /sys/class/net/eth0/address");
  REQUIRE(answer);
  CHECK(*answer == "Linux\n52:54:00:00:00:01\n<done 0>\n");
  CHECK(read_file(spec.console_log)->find("tiny guest: ready") != std::string::npos);

  REQUIRE_OK(hypervisor->pause(spec.id));
  REQUIRE_OK(hypervisor->pause(spec.id));
  CHECK(*hypervisor->state(spec.id) == State::paused);
  CHECK_FALSE(Rig::run(spec, "echo while paused", 1s));
  REQUIRE_OK(hypervisor->resume(spec.id));
  REQUIRE_OK(hypervisor->resume(spec.id));
  CHECK(*hypervisor->state(spec.id) == State::running);
  CHECK(Rig::run(spec, "true"));

  const auto begin = std::chrono::steady_clock::now();
  REQUIRE_OK(hypervisor->destroy(spec.id));
  CHECK(std::chrono::steady_clock::now() - begin < 1s);
  CHECK(*hypervisor->state(spec.id) == State::absent);
  CHECK(hypervisor->list()->empty());
  CHECK(eventually([&] { return is_gone(spec); }));
  REQUIRE_OK(hypervisor->destroy(spec.id));
  REQUIRE_OK(hypervisor->start(spec));  // at once, though libvirt still clears away the one before
  CHECK_FALSE(std::filesystem::is_empty(rig.logs()));
  REQUIRE_OK(hypervisor->destroy(spec.id));
  CHECK(ends.now().empty());
  CHECK(eventually([&] { return std::filesystem::is_empty(rig.logs()); }));
}

TEST_CASE("an unknown machine is not found, and destroying it is fine") {
  Hypervisor* const hypervisor = Rig::instance().open();
  const std::string id = Rig::instance().spec(99).id;
  CHECK(hypervisor->pause(id).error().kind == Error::Kind::not_found);
  CHECK(hypervisor->resume(id).error().kind == Error::Kind::not_found);
  CHECK(hypervisor->destroy(id));
}

TEST_CASE("a guest's own end is told, with its reason") {
  Rig& rig = Rig::instance();
  const DiskServer disk(rig.directory());
  Hypervisor* const hypervisor = rig.open();
  Ends ends;
  ends.watch(*hypervisor);
  const MachineSpec spec = rig.spec(2);
  std::string expected;
  REQUIRE_OK(hypervisor->start(spec));
  SUBCASE("power off") {
    CHECK_FALSE(Rig::run(spec, "poweroff -f"));
    expected = "the guest shut down";
  }
  SUBCASE("reboot") {
    CHECK_FALSE(Rig::run(spec, "reboot -f"));
    expected = "the guest rebooted";
  }
  SUBCASE("QEMU is killed") {
    REQUIRE(Rig::run(spec, "true"));
    REQUIRE(::kill(process_of(spec), SIGKILL) == 0);
    REQUIRE(eventually([&] { return !process_lives(spec.runtime_directory); }));
    CHECK(*hypervisor->state(spec.id) == State::absent);  // whether or not libvirt has noticed
    expected = "QEMU ended unexpectedly";
  }
  CHECK(eventually([&] { return !ends.now().empty(); }));
  CHECK(ends.now() == std::vector{spec.id + ": " + expected});
  CHECK(*hypervisor->state(spec.id) == State::absent);
  CHECK(eventually([&] { return is_gone(spec); }));
}

// Not tests: what the next one runs in processes of their own. The first dies as by kill -9.
TEST_CASE("child: start and die" * doctest::skip()) {
  Hypervisor* const hypervisor = Rig::instance().open();
  const MachineSpec spec = Rig::instance().spec(3);
  REQUIRE_OK(hypervisor->start(spec));
  REQUIRE(Rig::run(spec, "echo remembered > /tmp/note"));
  REQUIRE(std::filesystem::remove(spec.channel_socket));  // as if it died just before the start made this link
  ::kill(::getpid(), SIGKILL);
}

TEST_CASE("child: find it again" * doctest::skip()) {
  Hypervisor* const hypervisor = Rig::instance().open();
  const MachineSpec spec = Rig::instance().spec(3);
  CHECK(*hypervisor->list() == std::vector{spec.id});
  CHECK(*hypervisor->state(spec.id) == State::running);
  CHECK(Rig::run(spec, "cat /tmp/note") == "remembered\n<done 0>\n");
  REQUIRE_OK(hypervisor->pause(spec.id));
  REQUIRE_OK(hypervisor->resume(spec.id));
  CHECK(Rig::run(spec, "true"));
  REQUIRE_OK(hypervisor->destroy(spec.id));
}

TEST_CASE("child: find nothing" * doctest::skip()) {
  Hypervisor* const hypervisor = Rig::instance().open();
  CHECK(eventually([&] { return *hypervisor->state(Rig::instance().spec(3).id) == State::absent; }));
  CHECK(eventually([&] { return hypervisor->list()->empty() && is_gone(Rig::instance().spec(3)); }));
}

TEST_CASE("a machine outlives a killed daemon and is found again") {
  Rig& rig = Rig::instance();
  const DiskServer disk(rig.directory());
  const MachineSpec spec = rig.spec(3);
  CHECK(rig.run_child("child: start and die") == 128 + SIGKILL);
  REQUIRE(std::filesystem::exists(spec.memory_file));
  SUBCASE("and lives on") { CHECK(rig.run_child("child: find it again") == 0); }
  SUBCASE("or died meanwhile, and is cleared away") {
    REQUIRE(::kill(process_of(spec), SIGKILL) == 0);
    CHECK(rig.run_child("child: find nothing") == 0);
  }
  CHECK(eventually([&] { return is_gone(spec); }));
}

TEST_CASE("a disk server that dies stalls the guest and fails nothing") {
  Rig& rig = Rig::instance();
  DiskServer disk(rig.directory());
  Hypervisor* const hypervisor = rig.open();
  const MachineSpec spec = rig.spec(4);
  REQUIRE_OK(hypervisor->start(spec));
  REQUIRE(Rig::run(spec, write_disk) == "<done 0>\n");
  disk.kill();
  CHECK(Rig::run(spec, std::string("(") + write_disk + "; echo $? > /tmp/status) & sleep 1; ls /tmp") == "<done 0>\n");
  disk.start();
  CHECK(eventually([&] { return Rig::run(spec, "cat /tmp/status") == "0\n<done 0>\n"; }));
  REQUIRE_OK(hypervisor->destroy(spec.id));
}

TEST_CASE("a disk error pauses the machine until the disk is well") {
  Rig& rig = Rig::instance();
  DiskServer disk(rig.directory());
  Hypervisor* const hypervisor = rig.open();
  const MachineSpec spec = rig.spec(5);
  REQUIRE_OK(hypervisor->start(spec));
  REQUIRE(Rig::run(spec, std::string("(sleep 0.2; ") + write_disk + "; echo $? > /tmp/status) &") == "<done 0>\n");
  disk.fail(true);
  CHECK(eventually([&] { return *hypervisor->state(spec.id) == State::stalled; }));
  SUBCASE("and then goes on by itself") {
    disk.fail(false);
    CHECK(eventually([&] { return *hypervisor->state(spec.id) == State::running; }));
    CHECK(Rig::run(spec, "sleep 1; cat /tmp/status") == "0\n<done 0>\n");
  }
  SUBCASE("but not if we paused it as well") {
    REQUIRE_OK(hypervisor->pause(spec.id));
    disk.fail(false);
    CHECK_FALSE(eventually([&] { return *hypervisor->state(spec.id) == State::running; }, 5s));
  }
  REQUIRE_OK(hypervisor->destroy(spec.id));
}

namespace {

/// Starts a machine, pauses it and writes its state to "state" and its RAM to "saved.ram". A program in it knows a
/// value that is nowhere else.
class SavedMachine {
 public:
  SavedMachine(Hypervisor& hypervisor, const MachineSpec& spec) : hypervisor_(hypervisor), spec_(spec) {
    const Path& directory = Rig::instance().directory();
    state = directory / "state";
    ram = directory / "saved.ram";
    std::filesystem::remove(state);
    REQUIRE_OK(hypervisor.start(spec));
    const std::string know =
        "secret=4711; while :; do [ -e /tmp/ask ] && rm /tmp/ask && echo $secret > /tmp/answer; sleep 0.1; done";
    REQUIRE(Rig::run(spec, "(" + know + ") > /dev/null 2>&1 & echo $! > /tmp/pid") == "<done 0>\n");
    check_goes_on(spec);
    REQUIRE_OK(hypervisor.pause(spec.id));
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE_OK(hypervisor.save(spec.id, state));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    MESSAGE("saved ", std::filesystem::file_size(state), " bytes in ", took.count(), " s");
    std::filesystem::copy_file(spec.memory_file, ram, std::filesystem::copy_options::overwrite_existing);
  }
  ~SavedMachine() { (void)hypervisor_.destroy(spec_.id); }
  SavedMachine(const SavedMachine&) = delete;

  /// The same program is still there, and the disk can be written.
  static void check_goes_on(const MachineSpec& spec) {
    const std::string ask = "rm -f /tmp/answer; touch /tmp/ask; while [ ! -s /tmp/answer ]; do sleep 0.1; done; ";
    const auto said = Rig::run(spec, ask + "kill -0 $(cat /tmp/pid) && cat /tmp/answer && " + write_disk);
    const auto console = read_file(spec.console_log);
    INFO("console: ", console ? *console : to_text(console.error()));
    REQUIRE(said);
    CHECK(*said == "4711\n<done 0>\n");
  }

  Path state, ram;

 private:
  Hypervisor& hypervisor_;
  MachineSpec spec_;
};

}  // namespace

TEST_CASE("libvirt's clearing away of a machine takes nothing from the next one of that id") {
  const DiskServer disk(Rig::instance().directory());
  Hypervisor* const hypervisor = Rig::instance().open();
  const MachineSpec spec = Rig::instance().spec(13);
  REQUIRE_OK(hypervisor->start(spec));
  REQUIRE_OK(hypervisor->destroy(spec.id));
  REQUIRE_OK(hypervisor->start(spec));
  std::this_thread::sleep_for(3s);  // libvirt waits for init to reap the process
  CHECK(Rig::run(spec, "true"));
  REQUIRE_OK(hypervisor->destroy(spec.id));
  CHECK(eventually([&] { return is_gone(spec); }));
}

TEST_CASE("many may resume a machine at once") {
  const DiskServer disk(Rig::instance().directory());
  Hypervisor* const hypervisor = Rig::instance().open();
  const MachineSpec spec = Rig::instance().spec(15);
  REQUIRE_OK(hypervisor->start(spec));
  for (int round = 0; round < 5; ++round) {
    REQUIRE_OK(hypervisor->pause(spec.id));
    std::vector<std::future<Result<>>> resumed;
    for (int i = 0; i < 6; ++i)
      resumed.push_back(std::async(std::launch::async, [&] { return hypervisor->resume(spec.id); }));
    for (auto& each : resumed) REQUIRE_OK(each.get());
    CHECK(*hypervisor->state(spec.id) == State::running);
  }
  REQUIRE_OK(hypervisor->destroy(spec.id));
}

TEST_CASE("a saved machine may just go on, and be saved again") {
  const DiskServer disk(Rig::instance().directory());
  Hypervisor* const hypervisor = Rig::instance().open();
  const MachineSpec spec = Rig::instance().spec(8);
  const SavedMachine saved(*hypervisor, spec);
  CHECK(std::filesystem::file_size(saved.state) < 2 * MiB);
  CHECK(hypervisor->save(spec.id, saved.state).error().kind == Error::Kind::exists);
  REQUIRE_OK(hypervisor->resume(spec.id));
  SavedMachine::check_goes_on(spec);
  std::filesystem::remove(saved.state);
  CHECK(hypervisor->save(spec.id, saved.state).error().kind == Error::Kind::invalid);  // it runs
  CHECK_FALSE(std::filesystem::exists(saved.state));
  REQUIRE_OK(hypervisor->pause(spec.id));
  REQUIRE_OK(hypervisor->save(spec.id, saved.state));
  REQUIRE_OK(hypervisor->resume(spec.id));
  SavedMachine::check_goes_on(spec);
}

TEST_CASE("a saved machine goes on in another process, its RAM file filled before that starts") {
  const DiskServer disk(Rig::instance().directory());
  Hypervisor* const hypervisor = Rig::instance().open();
  Ends ends;
  ends.watch(*hypervisor);
  const MachineSpec spec = Rig::instance().spec(8);
  const SavedMachine saved(*hypervisor, spec);
  REQUIRE_OK(hypervisor->destroy(spec.id));
  std::filesystem::copy_file(saved.ram, spec.memory_file);
  REQUIRE_OK(hypervisor->start_waiting(spec));
  CHECK(*hypervisor->state(spec.id) == State::waiting);
  CHECK(*hypervisor->list() == std::vector{spec.id});
  REQUIRE_OK(hypervisor->load(spec.id, saved.state));
  CHECK(*hypervisor->state(spec.id) == State::paused);
  CHECK(hypervisor->load(spec.id, saved.state).error().kind == Error::Kind::invalid);
  REQUIRE_OK(hypervisor->resume(spec.id));
  SavedMachine::check_goes_on(spec);
  REQUIRE_OK(hypervisor->destroy(spec.id));
  CHECK(eventually([&] { return is_gone(spec); }));
  CHECK(ends.now().empty());
}

TEST_CASE("a saved machine goes on in one of another id that was there before") {
  const DiskServer disk(Rig::instance().directory());
  Hypervisor* const hypervisor = Rig::instance().open();
  const MachineSpec spec = Rig::instance().spec(8), other = Rig::instance().spec(9);
  REQUIRE_OK(hypervisor->start_waiting(other));
  {
    const SavedMachine saved(*hypervisor, spec);
    REQUIRE_OK(hypervisor->destroy(spec.id));
    const Fd memory = *open_file(other.memory_file, O_RDWR);  // the file that QEMU has mapped
    REQUIRE(pwrite_all(memory.get(), as_bytes(*read_file(saved.ram, GiB)), 0));
    REQUIRE_OK(hypervisor->load(other.id, saved.state));
  }
  REQUIRE_OK(hypervisor->resume(other.id));
  SavedMachine::check_goes_on(other);
  REQUIRE_OK(hypervisor->destroy(other.id));
  CHECK(eventually([&] { return is_gone(spec) && is_gone(other); }));
}

TEST_CASE("a state that cannot be loaded is refused, and said") {
  Rig& rig = Rig::instance();
  const DiskServer disk(rig.directory());
  Hypervisor* const hypervisor = rig.open();
  const MachineSpec spec = rig.spec(10);
  const Path state = rig.directory() / "no-state";
  REQUIRE(write_file_atomically(state, "this is no state of a machine"));
  REQUIRE_OK(hypervisor->start_waiting(spec));
  const auto begin = std::chrono::steady_clock::now();
  const auto loaded = hypervisor->load(spec.id, state);
  CHECK(std::chrono::steady_clock::now() - begin < 10s);
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().kind == Error::Kind::corrupt);
  REQUIRE_OK(hypervisor->destroy(spec.id));
  CHECK(eventually([&] { return is_gone(spec); }));
  REQUIRE_OK(hypervisor->start(spec));
  REQUIRE_OK(hypervisor->destroy(spec.id));
}

TEST_CASE("a machine that is killed while it takes a state says nothing of the state") {
  Rig& rig = Rig::instance();
  const DiskServer disk(rig.directory());
  Hypervisor* const hypervisor = rig.open();
  const MachineSpec spec = rig.spec(14);
  const Path state = rig.directory() / "endless-state";
  REQUIRE(::mkfifo(state.c_str(), 0600) == 0);
  REQUIRE_OK(hypervisor->start_waiting(spec));
  std::future<Result<>> loading;
  Fd writer = *open_file(state, O_RDWR);               // closed before loading is waited for, whatever fails
  REQUIRE(write_all(writer.get(), as_bytes("QEVM")));  // a beginning that QEMU would go on with
  loading = std::async(std::launch::async, [&] { return hypervisor->load(spec.id, state); });
  const auto is_read = [&] {
    int left = 0;
    return ::ioctl(writer.get(), FIONREAD, &left) == 0 && left == 0;
  };
  REQUIRE(eventually(is_read));
  REQUIRE(::kill(process_of(spec), SIGKILL) == 0);
  REQUIRE(eventually([&] { return *hypervisor->state(spec.id) == State::absent; }));
  REQUIRE(loading.wait_for(0s) == std::future_status::timeout);
  writer = Fd();
  const auto loaded = loading.get();
  REQUIRE_FALSE(loaded);
  CHECK_MESSAGE(loaded.error().kind == Error::Kind::unavailable, to_text(loaded.error()));
  REQUIRE_OK(hypervisor->destroy(spec.id));
  CHECK(eventually([&] { return is_gone(spec); }));
}

TEST_CASE("child: pause and die" * doctest::skip()) {
  Hypervisor* const hypervisor = Rig::instance().open();
  REQUIRE_OK(hypervisor->start(Rig::instance().spec(11)));
  REQUIRE_OK(hypervisor->pause(Rig::instance().spec(11).id));
  REQUIRE_OK(hypervisor->start_waiting(Rig::instance().spec(12)));
  ::kill(::getpid(), SIGKILL);
}

TEST_CASE("child: find them paused and waiting" * doctest::skip()) {
  Hypervisor* const hypervisor = Rig::instance().open();
  const MachineSpec paused = Rig::instance().spec(11), waiting = Rig::instance().spec(12);
  CHECK(*hypervisor->state(paused.id) == State::paused);
  CHECK(*hypervisor->state(waiting.id) == State::waiting);
  CHECK_FALSE(eventually([&] { return *hypervisor->state(paused.id) != State::paused; }, 5s));
  REQUIRE_OK(hypervisor->destroy(paused.id));
  REQUIRE_OK(hypervisor->destroy(waiting.id));
}

TEST_CASE("a paused and a waiting machine outlive a killed daemon as what they are") {
  const DiskServer disk(Rig::instance().directory());
  CHECK(Rig::instance().run_child("child: pause and die") == 128 + SIGKILL);
  CHECK(Rig::instance().run_child("child: find them paused and waiting") == 0);
  CHECK(eventually([&] { return is_gone(Rig::instance().spec(11)) && is_gone(Rig::instance().spec(12)); }));
}

TEST_CASE("a start that fails says why and leaves nothing") {
  Rig& rig = Rig::instance();
  Hypervisor* const hypervisor = rig.open();
  Ends ends;
  ends.watch(*hypervisor);
  MachineSpec spec = rig.spec(6);
  SUBCASE("no disk server") {
    spec.disk_socket = rig.directory() / "absent.sock";
    const auto started = hypervisor->start(spec);
    REQUIRE_FALSE(started);
    CHECK(started.error().kind == Error::Kind::unavailable);
    CHECK(to_text(started.error()).find("absent.sock") != std::string::npos);  // in QEMU's own words
  }
  SUBCASE("no memory left") {
    spec.memory_bytes = std::uint64_t{1} << 50;
    const auto started = hypervisor->start(spec);
    REQUIRE_FALSE(started);
    CHECK(started.error().kind == Error::Kind::no_space);
  }
  SUBCASE("no memory directory") {
    spec.memory_file = rig.directory() / "absent" / "machine.ram";
    const auto started = hypervisor->start(spec);
    REQUIRE_FALSE(started);
    CHECK(started.error().kind == Error::Kind::not_found);
  }
  SUBCASE("a kernel that is none") {
    const DiskServer disk(rig.directory());
    spec.kernel = rig.directory() / "guest.img";
    const auto started = hypervisor->start(spec);
    REQUIRE_FALSE(started);
    CAPTURE(to_text(started.error()));
    CHECK(to_text(started.error()).find("kernel") != std::string::npos);
  }
  CHECK(*hypervisor->state(spec.id) == State::absent);
  CHECK(eventually([&] { return is_gone(spec); }));
  CHECK(std::filesystem::is_empty(rig.directory() / "libvirt" / "machines"));
  CHECK(ends.now().empty());
}

TEST_CASE("a start that hangs is ended by destroying the machine") {
  Rig& rig = Rig::instance();
  Hypervisor* const hypervisor = rig.open();
  MachineSpec spec = rig.spec(7);
  spec.disk_socket = rig.directory() / "mute.sock";
  const auto mute = listen_unix(spec.disk_socket);  // QEMU waits for what this disk says, and libvirt for QEMU
  REQUIRE(mute);
  std::optional<Result<>> started;
  std::thread starting([&] { started = hypervisor->start(spec); });
  REQUIRE(eventually([&] { return std::filesystem::exists(pid_file(spec.runtime_directory)); }));
  const auto begun = std::chrono::steady_clock::now();
  CHECK(hypervisor->destroy(spec.id));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  starting.join();
  CHECK_FALSE(*started);
  CHECK(*hypervisor->state(spec.id) == State::absent);
  CHECK(eventually([&] { return is_gone(spec); }));
}

TEST_CASE("the host's loopback services are out of the guest's reach") {
  Rig& rig = Rig::instance();
  const DiskServer disk(rig.directory());
  Hypervisor* const hypervisor = rig.open();
  if (hypervisor->facts().network != "passt") {
    MESSAGE("no passt here: the agent's filter does this");
    return;
  }
  const test::LoopbackService service;
  const MachineSpec spec = rig.spec(7);
  REQUIRE_OK(hypervisor->start(spec));
  const std::string port = std::to_string(service.port());
  REQUIRE(Rig::run(spec, "for a in 10.0.2.2 10.0.2.3 127.0.0.1; do timeout 2 nc $a " + port + " < /dev/null; done"));
  CHECK_FALSE(service.was_called());
  (void)run_process({"busybox", "timeout", "1", "busybox", "nc", "127.0.0.1", port});
  CHECK(service.was_called());  // it was there all the time
  REQUIRE_OK(hypervisor->destroy(spec.id));
}

TEST_CASE("what doctor asks") {
  Hypervisor* const hypervisor = Rig::instance().open();
  const Facts facts = hypervisor->facts();
  CHECK_FALSE(facts.accelerator_reason.empty());
  CHECK(facts.qemu_version.find('.') != std::string::npos);
  CHECK(facts.libvirt_version.find('.') != std::string::npos);
  CHECK(facts.machine_type.starts_with("pc-q35-"));
  CHECK((facts.network == "passt") == facts.network_reason.empty());
}

TEST_CASE("a QEMU whose threads overtake each other emulates in one") {
  Rig& rig = Rig::instance();
  const DiskServer disk(rig.directory());
  Hypervisor* const hypervisor = rig.open();
  const MachineSpec spec = rig.spec(1);
  REQUIRE_OK(hypervisor->start(spec));
  const auto pid = read_file(spec.runtime_directory / "qemu.pid");
  REQUIRE(pid);
  const auto words = read_file("/proc/" + trim(*pid) + "/cmdline");
  REQUIRE(words);
  const Facts facts = hypervisor->facts();
  const bool overtake = facts.accelerator == Accelerator::emulation && std::stod(facts.qemu_version) < 8.1;
  CHECK((words->find("tcg,thread=single") != std::string::npos) == overtake);
  REQUIRE_OK(hypervisor->destroy(spec.id));
}

TEST_CASE("a network helper that a killed process left while it tried is ended by the next that tries") {
  const Path scratch = Rig::instance().directory() / "trial";
  if (const auto left = start_network(scratch); !left) {
    WARN_MESSAGE(false, "passt does not run here: " << left.error().what);
    return;
  }
  const auto lives = [&] {
    const auto helper = run_process({"pgrep", "-f", scratch.string() + "/passt.log"});
    return helper && helper->exit_status == 0;
  };
  CHECK(lives());
  CHECK(detect_network(scratch).network == Network::passt);
  CHECK(eventually([&] { return !lives(); }));
}

TEST_CASE("child: be the second" * doctest::skip()) {
  const auto opened = open_libvirt({.uri = {},
                                    .directory = Rig::instance().directory() / "libvirt",
                                    .short_name = {},
                                    .accelerator = {},
                                    .on_notice = {}});
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == Error::Kind::busy);
  CHECK(opened.error().hint.find("daemon") != std::string::npos);
}

TEST_CASE("a second daemon is told that there is a first") {
  REQUIRE(Rig::instance().open() != nullptr);
  CHECK(Rig::instance().run_child("child: be the second") == 0);
}

TEST_CASE("without QEMU the hypervisor says what to install") {
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nonexistent", 1);
  const auto opened = open_libvirt({.uri = {},
                                    .directory = Rig::instance().directory() / "none",
                                    .short_name = {},
                                    .accelerator = {},
                                    .on_notice = {}});
  ::setenv("PATH", path.c_str(), 1);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().kind == Error::Kind::unavailable);
  CHECK(opened.error().hint.find("qemu-system-x86") != std::string::npos);
}
