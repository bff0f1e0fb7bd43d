#pragma once
/// The Machine in the VM: disk, inner container, identity, shutdown.
///
/// States of the container: starting, running, failed (the disk cannot be mounted, or crun fails again and again; tried
/// anew every 5 s). From running it goes to starting when its spawner is gone, and stays there between release_disk()
/// and take_disk(). Once stop() has been called it stays ended. State lives on the executor's one thread; what blocks
/// (mount, crun) runs on one worker thread and posts back; a clone's connections are ended by a thread of their own
/// meanwhile.
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <future>

#include "agent/checkpoint_folder.h"
#include "agent/container.h"
#include "agent/machine.h"

namespace sprite::agent {

class VirtualMachine final : public Machine {
 public:
  explicit VirtualMachine(asio::any_io_executor executor);
  ~VirtualMachine() override;

  /// Begins to mount the disk and to start the container. Call once.
  void start();
  /// What else began with the boot is over.
  void set_settled() { settled_ = true; }

  asio::awaitable<Result<>> configure(wire::Configure configuration) override;
  const std::optional<wire::Configure>& configuration() const override { return configuration_; }
  wire::AgentStatus status() const override;
  asio::awaitable<Result<std::shared_ptr<SpawnerClient>>> spawner() override;
  asio::awaitable<Result<>> stop() override;
  void power_off() override;
  asio::awaitable<Result<>> freeze() override;
  Result<> thaw() override;
  asio::awaitable<std::vector<Timer>> timers() override;
  asio::awaitable<Result<>> hold_programs() override;
  asio::awaitable<Result<>> go_on(std::int64_t realtime_ns) override;
  asio::awaitable<Result<>> release_disk() override;
  asio::awaitable<Result<>> take_disk() override;
  asio::awaitable<Result<wire::DiskCheck>> check_disk() override;
  asio::awaitable<Result<std::shared_ptr<TreeComparison>>> compare(wire::DifferenceRequest request) override;
  asio::awaitable<Result<std::vector<wire::Difference>>> next_differences(
      std::shared_ptr<TreeComparison> comparison) override;
  void show_checkpoints(std::vector<wire::ShownCheckpoint> checkpoints) override;

 private:
  asio::awaitable<void> supervise();
  asio::awaitable<void> trim_now_and_then();
  asio::awaitable<Result<>> start_once();
  template <class F>
  auto blocking(F work) -> asio::awaitable<decltype(work())>;
  asio::awaitable<Result<>> end_container();
  asio::awaitable<void> end_release();
  asio::awaitable<void> end_dropping(std::future<Result<std::size_t>> dropping);
  asio::awaitable<Result<>> identify(std::shared_ptr<SpawnerClient> spawner);
  asio::awaitable<void> make_host_keys(std::shared_ptr<SpawnerClient> spawner);
  Result<> set_held(bool held);
  asio::awaitable<void> run_inside(std::shared_ptr<SpawnerClient> spawner, std::vector<std::string> command);

  asio::any_io_executor executor_;
  asio::thread_pool worker_{1}, comparer_{1};
  Event changed_;
  asio::steady_timer retry_timer_;
  bool settled_ = false;
  bool mounted_ = false, stopping_ = false;
  bool released_ = false;    ///< Between release_disk() and take_disk(): nothing is started.
  bool releasing_ = false;   ///< release_disk() is under way.
  bool attempting_ = false;  ///< A start is under way.
  bool held_ = false;        ///< Programs stand still, the spawner with them.
  std::string detail_;       ///< Why the container is not running.
  std::uint64_t restarts_ = 0;
  int failures_ = 0;  ///< In a row.
  std::optional<InnerContainer> container_;
  std::shared_ptr<SpawnerClient> spawner_;
  std::optional<wire::Configure> configuration_;
  asio::steady_timer thaw_timer_, hold_timer_, trim_timer_;
  std::shared_ptr<std::atomic<bool>> comparing_stopped_;  ///< Of the comparisons since the disk was mounted.
  std::uint64_t comparisons_ = 0;
  CheckpointPartitions partitions_;
  std::unique_ptr<CheckpointFolder> checkpoints_;  ///< Null where the kernel cannot.
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace sprite::agent
