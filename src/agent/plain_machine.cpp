#include "agent/plain_machine.h"

#include <sys/wait.h>
#include <unistd.h>

#include "agent/spawner.h"

namespace sprite::agent {

Result<std::unique_ptr<PlainMachine>> PlainMachine::start(asio::any_io_executor executor) {
  TRY_LET(auto sockets, make_message_sockets());
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("cannot start the spawner");
  if (pid == 0) {
    sockets.first.reset();
    std::_Exit(run_spawner(std::move(sockets.second), SpawnerOptions{"", false}));
  }
  auto client = std::make_shared<SpawnerClient>(std::move(executor), std::move(sockets.first), [] {});
  client->run();
  return std::unique_ptr<PlainMachine>(new PlainMachine(std::move(client), pid));
}

PlainMachine::~PlainMachine() {
  spawner_->close();
  ::waitpid(spawner_pid_, nullptr, 0);
}

asio::awaitable<Result<>> PlainMachine::configure(wire::Configure configuration) {
  CO_TRY(co_await spawner_->ready(std::chrono::seconds(10)));
  configuration_ = std::move(configuration);
  co_return Result<>{};
}

wire::AgentStatus PlainMachine::status() const {
  wire::AgentStatus status;
  status.version = SPRITE_VERSION;
  status.container = spawner_->alive() ? "running" : "failed";
  return status;
}

asio::awaitable<Result<std::shared_ptr<SpawnerClient>>> PlainMachine::spawner() {
  if (!spawner_->alive()) co_return Error{Error::Kind::unavailable, "the spawner has ended"};
  co_return spawner_;
}

asio::awaitable<Result<>> PlainMachine::stop() { co_return co_await spawner_->terminate(std::chrono::seconds(2)); }

void PlainMachine::power_off() { ::kill(::getpid(), SIGTERM); }

asio::awaitable<Result<>> PlainMachine::freeze() { co_return Result<>{}; }

Result<> PlainMachine::thaw() { return {}; }

asio::awaitable<Result<>> PlainMachine::hold_programs() { co_return Result<>{}; }

asio::awaitable<Result<>> PlainMachine::go_on(std::int64_t) { co_return Result<>{}; }

asio::awaitable<Result<>> PlainMachine::release_disk() {
  co_return Error{Error::Kind::unavailable, "this machine has no disk of its own"};
}

asio::awaitable<Result<wire::DiskCheck>> PlainMachine::check_disk() {
  co_return Error{Error::Kind::unavailable, "this machine has no disk of its own"};
}

asio::awaitable<Result<std::shared_ptr<TreeComparison>>> PlainMachine::compare(wire::DifferenceRequest) {
  co_return Error{Error::Kind::unavailable, "this machine has no disk of its own"};
}

asio::awaitable<Result<std::vector<wire::Difference>>> PlainMachine::next_differences(
    std::shared_ptr<TreeComparison> comparison) {
  co_return comparison->next();
}

asio::awaitable<Result<>> PlainMachine::take_disk() { return release_disk(); }

}  // namespace sprite::agent
