#pragma once
/// A Machine without a VM: programs run beside the agent, as the agent's own user. For tests and for trying the API
/// out.
#include "agent/machine.h"

namespace sprite::agent {

class PlainMachine final : public Machine {
 public:
  /// Forks the spawner: call before threads exist. Errors: unavailable.
  static Result<std::unique_ptr<PlainMachine>> start(asio::any_io_executor executor);
  ~PlainMachine() override;

  asio::awaitable<Result<>> configure(wire::Configure configuration) override;
  const std::optional<wire::Configure>& configuration() const override { return configuration_; }
  wire::AgentStatus status() const override;
  asio::awaitable<Result<std::shared_ptr<SpawnerClient>>> spawner() override;
  asio::awaitable<Result<>> stop() override;
  void power_off() override;
  asio::awaitable<Result<>> freeze() override;
  Result<> thaw() override;
  asio::awaitable<std::vector<Timer>> timers() override { co_return std::vector<Timer>(); }  // it does not sleep
  asio::awaitable<Result<>> hold_programs() override;
  asio::awaitable<Result<>> go_on(std::int64_t realtime_ns) override;
  asio::awaitable<Result<>> release_disk() override;
  asio::awaitable<Result<>> take_disk() override;
  asio::awaitable<Result<wire::DiskCheck>> check_disk() override;
  asio::awaitable<Result<std::shared_ptr<TreeComparison>>> compare(wire::DifferenceRequest request) override;
  asio::awaitable<Result<std::vector<wire::Difference>>> next_differences(
      std::shared_ptr<TreeComparison> comparison) override;
  void show_checkpoints(std::vector<wire::ShownCheckpoint>) override {}

  pid_t spawner_pid() const { return spawner_pid_; }

 private:
  PlainMachine(std::shared_ptr<SpawnerClient> spawner, pid_t spawner_pid)
      : spawner_(std::move(spawner)), spawner_pid_(spawner_pid) {}

  std::shared_ptr<SpawnerClient> spawner_;
  pid_t spawner_pid_;
  std::optional<wire::Configure> configuration_;
};

}  // namespace sprite::agent
