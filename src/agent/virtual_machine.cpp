#include "agent/virtual_machine.h"

#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <thread>

#include "agent/boot.h"
#include "agent/connections.h"
#include "agent/guest_files.h"
#include "agent/kernel_identity.h"
#include "agent/network.h"
#include "agent/utf8.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"

namespace sprite::agent {
namespace {

constexpr std::chrono::seconds programs_grace{2}, start_limit{60}, restart_wait_limit{15}, retry_after{5},
    frozen_max{5}, held_max{15}, freezing_max{2}, host_keys_limit{20};
constexpr std::chrono::minutes trim_every{5}, check_limit{30};
constexpr int failures_before_failed = 3;
constexpr auto host_key = "/etc/ssh/ssh_host_ed25519_key";

Result<> unmount_disk() {
  ::sync();
  for (int attempt = 0; attempt < 200; ++attempt) {
    if (::umount2(disk_folder.c_str(), 0) == 0) return {};
    if (errno != EBUSY) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const Error busy = system_error("cannot unmount the disk");
  (void)::mount(nullptr, disk_folder.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr);
  return busy;
}

/// FIFREEZE and FITHAW answer EBUSY and EINVAL when it is frozen, or not, already.
Result<> set_frozen(unsigned long request, int already) {
  TRY_LET(const Fd folder, open_file(disk_folder, O_RDONLY | O_DIRECTORY));
  if (::ioctl(folder.get(), request, 0) != 0 && errno != already)
    return system_error(request == FIFREEZE ? "cannot freeze the disk" : "cannot thaw the disk");
  return {};
}

/// So that freezing has little left to write, while nobody is held up.
Result<> write_dirty() {
  TRY_LET(const Fd folder, open_file(disk_folder, O_RDONLY | O_DIRECTORY));
  if (::syncfs(folder.get()) != 0) return system_error("cannot write what is not on the disk yet");
  return {};
}

Result<> trim_disk() {
  TRY_LET(const Fd folder, open_file(disk_folder, O_RDONLY | O_DIRECTORY));
  fstrim_range everything{0, ~std::uint64_t{0}, 0};
  if (::ioctl(folder.get(), FITRIM, &everything) != 0) return system_error("cannot trim the disk");
  return {};
}

/// What of a program's output people read: e2fsck lists every wrong block of a group in one line.
std::string shortened(const std::string& output) {
  constexpr std::size_t lines_max = 200, line_bytes_max = 200;
  std::string text;
  std::size_t count = 0;
  for (const std::string& line : split(output, '\n'))
    if (!line.empty() && ++count <= lines_max)
      text += to_utf8(line.substr(0, line_bytes_max)) + (line.size() > line_bytes_max ? "…\n" : "\n");
  if (count > lines_max) text += "(" + std::to_string(count - lines_max) + " more lines)\n";
  return text;
}

/// 0 to 7: checked, and what could be mended is.
Result<wire::DiskCheck> run_check() {
  TRY_LET(const Finished checked, run_process({"e2fsck", "-f", "-y", disk_device}, check_limit));
  if (checked.exit_status > 7)
    return Error{Error::Kind::unavailable, "the filesystem cannot be checked", "", {"e2fsck: " + trim(checked.err)}};
  return wire::DiskCheck{checked.exit_status, shortened(checked.out + checked.err)};
}

bool lacks_host_keys() {
  const Path ssh = disk_folder / "etc/ssh";
  return ::access((ssh / "sshd_config").c_str(), F_OK) == 0 &&
         ::access((ssh / "ssh_host_ed25519_key").c_str(), F_OK) != 0;
}

template <class Work>
asio::awaitable<std::invoke_result_t<Work&>> as_coroutine(Work work) {
  co_return work();
}

/// A checkpoint mounted at a folder of its own.
struct Look {
  Look(CheckpointMount mounted) : mount(std::move(mounted)) {}
  ~Look() {
    const Path at = mount->at();
    mount.reset();
    ::rmdir(at.c_str());
  }
  Look(const Look&) = delete;
  std::optional<CheckpointMount> mount;
};

Result<std::shared_ptr<Look>> look_into(CheckpointPartitions& partitions, const wire::ShownCheckpoint& checkpoint,
                                        const std::string& name) {
  const Path at = Path("/run/compared") / name;
  TRY(make_directories(at));
  TRY_LET(CheckpointMount mount, CheckpointMount::make(partitions, checkpoint.offset_bytes, at));
  return std::make_shared<Look>(std::move(mount));
}

Result<std::shared_ptr<TreeComparison>> begin_comparison(CheckpointPartitions& partitions,
                                                         const wire::DifferenceRequest& request, std::uint64_t number,
                                                         std::shared_ptr<const std::atomic<bool>> stopped) {
  auto looks = std::make_shared<std::vector<std::shared_ptr<Look>>>();
  TRY_LET(auto first, look_into(partitions, request.from, std::to_string(number) + "-from"));
  looks->push_back(first);
  Path second = disk_folder;
  if (request.to) {
    TRY_LET(auto look, look_into(partitions, *request.to, std::to_string(number) + "-to"));
    second = look->mount->at();
    looks->push_back(std::move(look));
  }
  TRY_LET(auto comparison, TreeComparison::begin(first->mount->at(), second, std::move(stopped), looks));
  return std::shared_ptr<TreeComparison>(std::move(comparison));
}

}  // namespace

VirtualMachine::VirtualMachine(asio::any_io_executor executor)
    : executor_(executor),
      changed_(executor),
      retry_timer_(executor),
      thaw_timer_(executor),
      hold_timer_(executor),
      trim_timer_(executor) {}

VirtualMachine::~VirtualMachine() {
  worker_.join();
  comparer_.join();
}

void VirtualMachine::start() {
  auto folder = CheckpointFolder::open(inside_folder / "checkpoints", partitions_);
  if (folder)
    checkpoints_ = *std::move(folder);
  else
    log::warning("there are no checkpoints in /.sprite: {}", log::one_line(folder.error()));
  asio::co_spawn(executor_, supervise(), asio::detached);
  asio::co_spawn(executor_, trim_now_and_then(), asio::detached);
}

/// Runs `work` on the worker thread and comes back.
template <class F>
auto VirtualMachine::blocking(F work) -> asio::awaitable<decltype(work())> {
  auto run = [work]() -> asio::awaitable<decltype(work())> { co_return work(); };
  co_return co_await asio::co_spawn(worker_, std::move(run), asio::use_awaitable);
}

/// What is deleted is given back as soon as the journal has been written (the disk is mounted with `discard`), but for
/// what a crash came before. The kernel knows what it has trimmed since the mount: nothing new costs a millisecond.
asio::awaitable<void> VirtualMachine::trim_now_and_then() {
  while (!stopping_) {
    trim_timer_.expires_after(trim_every);
    (void)co_await trim_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!mounted_ || released_ || stopping_) continue;
    auto trim = [] { return trim_disk(); };
    const auto trimmed = co_await blocking(trim);
    if (!trimmed) log::warning("ignoring: {}", log::one_line(trimmed.error()));
  }
}

/// One turn starts the container and waits for its end.
asio::awaitable<void> VirtualMachine::supervise() {
  while (!stopping_) {
    if (released_) {
      co_await changed_.wait();
      continue;
    }
    attempting_ = true;
    auto running = co_await start_once();
    attempting_ = false;
    failures_ = running ? 0 : failures_ + 1;
    if (!released_) detail_ = running ? std::string() : log::one_line(running.error());
    changed_.notify_all();
    if (running) {
      log::info("the inner container runs");
      while (spawner_->alive()) co_await changed_.wait();
      if (stopping_) co_return;
      if (released_) continue;
      ++restarts_;
      detail_ = "the inner container ended and is started again";
      log::warning("{}", detail_);
    } else if (!released_) {
      log::error("{}", detail_);
      if (failures_ < failures_before_failed && mounted_) continue;
      retry_timer_.expires_after(retry_after);
      (void)co_await retry_timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
  }
}

asio::awaitable<Result<>> VirtualMachine::start_once() {
  if (!mounted_) {
    CO_TRY(co_await blocking(mount_disk));
    mounted_ = true;
  }
  CO_TRY_LET(container_, co_await blocking(start_container));
  held_ = false;
  spawner_ = std::make_shared<SpawnerClient>(executor_, std::move(container_->spawner_socket),
                                             [this] { changed_.notify_all(); });
  spawner_->run();
  CO_TRY(co_await spawner_->ready(std::chrono::seconds(30)));
  if (configuration_) {
    CO_TRY(co_await identify(spawner_));
  }
  co_return Result<>{};
}

wire::AgentStatus VirtualMachine::status() const {
  wire::AgentStatus status;
  status.version = SPRITE_VERSION;
  const bool running = spawner_ && spawner_->alive() && detail_.empty();
  status.container = running                                                               ? "running"
                     : failures_ >= failures_before_failed || (failures_ > 0 && !mounted_) ? "failed"
                                                                                           : "starting";
  status.detail = detail_;
  status.settled = settled_;
  status.restarts = restarts_;
  status.uptime_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  return status;
}

asio::awaitable<Result<std::shared_ptr<SpawnerClient>>> VirtualMachine::spawner() {
  const auto deadline = std::chrono::steady_clock::now() + restart_wait_limit;
  while (status().container == "starting" && !stopping_ && std::chrono::steady_clock::now() < deadline)
    co_await pause_for(executor_, std::chrono::milliseconds(20));
  if (stopping_) co_return Error{Error::Kind::unavailable, "the machine is shutting down"};
  if (status().container == "running") co_return spawner_;
  co_return Error{Error::Kind::unavailable, "the inner container does not run", "", {detail_}};
}

asio::awaitable<Result<>> VirtualMachine::configure(wire::Configure configuration) {
  (void)thaw();  // a daemon that was killed may have left it frozen, or the disk released
  co_await end_release();
  if (configuration.realtime_ns > 0) {
    CO_TRY(set_clock(configuration.realtime_ns));
  }
  if (!configuration.entropy.empty()) {
    CO_TRY(add_entropy(configuration.entropy));
  }
  if (configuration.sprite_id.empty()) {
    configuration_.reset();
    co_return Result<>{};
  }
  if (!configuration_ || configuration_->sprite_id != configuration.sprite_id) {
    CO_TRY(renew_boot_id());
  }
  const auto deadline = std::chrono::steady_clock::now() + start_limit;
  while (status().container == "starting" && std::chrono::steady_clock::now() < deadline)
    co_await pause_for(executor_, std::chrono::milliseconds(5));
  CO_TRY_LET(const auto spawner, co_await this->spawner());
  std::future<Result<std::size_t>> dropping;  // beside the rest, by another processor if there is one
  if (configuration.drop_connections) dropping = std::async(std::launch::async, end_connections_to_the_outside);
  show_checkpoints(configuration.checkpoints);
  configuration_ = std::move(configuration);
  auto identified = co_await identify(spawner);
  if (dropping.valid()) co_await end_dropping(std::move(dropping));
  if (!identified) configuration_.reset();
  co_return identified;
}

/// While programs still stand still. A connection that is left ends when its next packet comes where nobody knows it.
asio::awaitable<void> VirtualMachine::end_dropping(std::future<Result<std::size_t>> dropping) {
  auto wait = [&dropping] { return dropping.get(); };
  const auto dropped = co_await blocking(wait);
  if (!dropped) co_return log::warning("ignoring: {}", log::one_line(dropped.error()));
  log::info("{} network connections of programs are dropped", *dropped);
}

asio::awaitable<Result<>> VirtualMachine::identify(std::shared_ptr<SpawnerClient> spawner) {
  if (!configuration_->mac_address.empty()) {
    CO_TRY(set_hardware_address(configuration_->mac_address, container_->network_namespace));
  }
  const Identity identity{configuration_->hostname, configuration_->machine_id};
  auto take = [this, identity] { return take_identity(container_->spawner, identity); };
  CO_TRY(co_await blocking(take));
  if (!held_) co_await make_host_keys(spawner);  // else go_on() does
  co_return Result<>{};
}

asio::awaitable<void> VirtualMachine::make_host_keys(std::shared_ptr<SpawnerClient> spawner) {
  if (configuration_->machine_id.empty() || !lacks_host_keys()) co_return;
  std::vector<std::string> quickest{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key};
  co_await run_inside(spawner, std::move(quickest));
  std::vector<std::string> others{"ssh-keygen", "-A"};  // an RSA key takes seconds
  asio::co_spawn(executor_, run_inside(spawner, std::move(others)), asio::detached);
}

/// Runs a program as root; its failure is logged.
asio::awaitable<void> VirtualMachine::run_inside(std::shared_ptr<SpawnerClient> spawner,
                                                 std::vector<std::string> command) {
  Program program;
  program.argv = std::move(command);
  program.user = "root";
  const std::string name = join(program.argv, " ");
  std::vector<Fd> stdio;
  for (int i = 0; i < 3; ++i) {
    auto null = open_file("/dev/null", O_RDWR);
    if (!null) co_return log::warning("ignoring: {}", log::one_line(null.error()));
    stdio.push_back(*std::move(null));
  }
  const auto ended = std::make_shared<std::optional<Ending>>();
  std::function<void(Ending)> on_end = [ended](Ending ending) { *ended = ending; };
  const auto started = co_await spawner->start(std::move(program), std::move(stdio), std::move(on_end));
  if (!started) co_return log::warning("ignoring: {}", log::one_line(started.error()));
  const auto deadline = std::chrono::steady_clock::now() + host_keys_limit;
  while (!*ended && std::chrono::steady_clock::now() < deadline)
    co_await pause_for(executor_, std::chrono::milliseconds(10));
  if (!*ended) {
    spawner->signal(started->id, SIGKILL, Reach::session);
    log::warning("ignoring: `{}` did not end in {} s", name, host_keys_limit.count());
  } else if ((*ended)->status != 0) {
    log::warning("ignoring: `{}` ended with status {}", name, (*ended)->status);
  }
}

asio::awaitable<Result<>> VirtualMachine::stop() {
  while (releasing_) co_await changed_.wait();
  stopping_ = true;
  (void)thaw();
  if (spawner_ && spawner_->alive()) {
    auto ended = co_await spawner_->terminate(programs_grace);
    if (!ended) log::info("{}: they are killed", log::one_line(ended.error()));
  }
  co_return co_await end_container();
}

asio::awaitable<Result<>> VirtualMachine::end_container() {
  const auto killed = co_await blocking(kill_container);
  if (comparing_stopped_) *comparing_stopped_ = true;  // they have folders of the disk open
  if (mounted_) {                                      // whatever happened to the container: what is unmounted is safe
    CO_TRY(co_await blocking(unmount_disk));
  }
  mounted_ = false;
  co_return killed;
}

asio::awaitable<Result<>> VirtualMachine::release_disk() {
  while (releasing_) co_await changed_.wait();
  released_ = releasing_ = true;
  (void)thaw();
  while (attempting_) co_await changed_.wait();
  failures_ = 0;
  detail_ = "the disk is being exchanged";
  retry_timer_.cancel();
  auto ended = co_await end_container();
  auto forget = [] { return forget_disk(), true; };
  if (ended) co_await blocking(forget);
  releasing_ = false;
  changed_.notify_all();
  co_return ended;
}

/// Whoever wanted it released may have been killed meanwhile: it is first released, then taken.
asio::awaitable<void> VirtualMachine::end_release() {
  while (releasing_) co_await changed_.wait();
  released_ = false;
  changed_.notify_all();
}

asio::awaitable<Result<>> VirtualMachine::take_disk() {
  failures_ = 0;
  co_await end_release();
  while (status().container == "starting" && !released_ && !stopping_) co_await changed_.wait();
  CO_TRY(co_await spawner());
  co_return Result<>{};
}

asio::awaitable<Result<wire::DiskCheck>> VirtualMachine::check_disk() {
  if (!released_ || releasing_ || mounted_) co_return Error{Error::Kind::unavailable, "the disk is in use"};
  auto check = [] { return run_check(); };
  co_return co_await blocking(check);
}

asio::awaitable<Result<std::shared_ptr<TreeComparison>>> VirtualMachine::compare(wire::DifferenceRequest request) {
  if (!mounted_ || released_) co_return Error{Error::Kind::unavailable, "the disk is not mounted"};
  if (!comparing_stopped_ || *comparing_stopped_) comparing_stopped_ = std::make_shared<std::atomic<bool>>(false);
  auto begin = [this, request, number = comparisons_++, stopped = comparing_stopped_] {
    return begin_comparison(partitions_, request, number, stopped);
  };
  co_return co_await asio::co_spawn(comparer_, as_coroutine(begin), asio::use_awaitable);
}

asio::awaitable<Result<std::vector<wire::Difference>>> VirtualMachine::next_differences(
    std::shared_ptr<TreeComparison> comparison) {
  auto next = [comparison] { return comparison->next(); };
  co_return co_await asio::co_spawn(comparer_, as_coroutine(next), asio::use_awaitable);
}

void VirtualMachine::show_checkpoints(std::vector<wire::ShownCheckpoint> checkpoints) {
  if (checkpoints_) checkpoints_->show(std::move(checkpoints));
}

void VirtualMachine::power_off() {
  ::sync();
  ::reboot(RB_POWER_OFF);
}

asio::awaitable<Result<>> VirtualMachine::freeze() {
  auto write = [] { return write_dirty(); };
  CO_TRY(co_await blocking(write));
  const auto begin = std::chrono::steady_clock::now();
  auto set = [] { return set_frozen(FIFREEZE, EBUSY); };
  CO_TRY(co_await blocking(set));
  if (std::chrono::steady_clock::now() - begin > freezing_max) {
    (void)thaw();  // who asked may have given up, and programs have been held up long enough
    co_return Error{Error::Kind::unavailable, "freezing the disk took more than 2 s"};
  }
  thaw_timer_.expires_after(frozen_max);
  thaw_timer_.async_wait([this](boost::system::error_code stopped) {
    if (stopped) return;
    log::warning("the disk was frozen for {} s: thawed", frozen_max.count());
    (void)thaw();
  });
  co_return Result<>{};
}

/// Not on the worker, which may itself be waiting to write to the frozen disk.
Result<> VirtualMachine::thaw() {
  thaw_timer_.cancel();
  if (!mounted_) return {};
  return set_frozen(FITHAW, EINVAL);
}

asio::awaitable<std::vector<Timer>> VirtualMachine::timers() {
  auto find = [] { return find_timers(disk_folder); };
  co_return co_await blocking(find);
}

/// The disk's content is then what programs see, so that a sleep that ends in a cold boot loses none of it.
asio::awaitable<Result<>> VirtualMachine::hold_programs() {
  Result<> written;
  if (mounted_) written = co_await blocking(write_dirty);  // so that little is left while programs stand still
  CO_TRY(std::move(written));
  CO_TRY(set_held(true));
  hold_timer_.expires_after(held_max);
  hold_timer_.async_wait([this](boost::system::error_code stopped) {
    if (!stopped) (void)set_held(false);
  });
  if (mounted_) written = co_await blocking(write_dirty);
  if (!written) {
    hold_timer_.cancel();
    CO_TRY(set_held(false));
  }
  co_return written;
}

Result<> VirtualMachine::set_held(bool held) {
  TRY(set_container_frozen(held));
  held_ = held;
  return {};
}

asio::awaitable<Result<>> VirtualMachine::go_on(std::int64_t realtime_ns) {
  hold_timer_.cancel();
  const auto set = set_clock(realtime_ns);
  CO_TRY(set_held(false));
  if (configuration_ && spawner_ && spawner_->alive()) co_await make_host_keys(spawner_);
  co_return set;
}

}  // namespace sprite::agent
