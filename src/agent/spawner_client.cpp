#include "agent/spawner_client.h"

#include <fcntl.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/log.h"

namespace sprite::agent {
namespace {

using Kind = SpawnerMessage::Kind;
constexpr auto tuple = asio::as_tuple(asio::use_awaitable);
constexpr int status_killed = 137;

Error gone() {
  return Error{Error::Kind::unavailable, "the inner container has ended", "it is started again: retry in a moment", {}};
}

}  // namespace

SpawnerClient::SpawnerClient(asio::any_io_executor executor, Fd socket, std::function<void()> lost)
    : executor_(executor), socket_(executor), lost_(std::move(lost)), changed_(executor) {
  (void)::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
  socket_.assign(socket.release());
}

void SpawnerClient::run() {
  asio::co_spawn(
      executor_, [self = shared_from_this()] { return self->listen(); }, asio::detached);
}

void SpawnerClient::close() {
  if (alive_) lose();
}

asio::awaitable<void> SpawnerClient::listen() {
  while (alive_) {
    auto received = receive_message(socket_.native_handle());
    if (received && *received) {
      handle(std::move(**received));
    } else if (!received && received.error().kind == Error::Kind::busy) {
      (void)co_await socket_.async_wait(asio::posix::stream_descriptor::wait_read, tuple);
    } else {
      if (!received) log::error("the spawner's socket failed: {}", log::one_line(received.error()));
      lose();
    }
  }
}

void SpawnerClient::handle(ReceivedMessage received) {
  SpawnerMessage& message = received.message;
  switch (message.kind) {
    case Kind::ready: ready_ = true; break;
    case Kind::terminated: terminated_ = true; break;
    case Kind::ended:
      if (auto program = programs_.extract(message.id)) program.mapped()({static_cast<int>(message.number), false});
      return;
    default:
      if (const auto asked = replies_.find(message.id); asked != replies_.end())
        *asked->second = Reply{true, std::move(message), std::move(received.fds)};
  }
  changed_.notify_all();
}

void SpawnerClient::lose() {
  alive_ = false;
  socket_.close();
  for (auto& [id, ended] : std::exchange(programs_, {})) ended({status_killed, true});
  changed_.notify_all();
  if (const auto lost = std::exchange(lost_, nullptr)) lost();
}

asio::awaitable<Result<>> SpawnerClient::send(SpawnerMessage message, std::vector<Fd> fds) {
  std::vector<int> raw;
  for (const Fd& fd : fds) raw.push_back(fd.get());
  while (alive_) {
    auto sent = send_message(socket_.native_handle(), message, raw);
    if (sent || sent.error().kind != Error::Kind::busy) co_return sent;
    (void)co_await socket_.async_wait(asio::posix::stream_descriptor::wait_write, tuple);
  }
  co_return gone();
}

asio::awaitable<Result<SpawnerClient::Reply>> SpawnerClient::ask(SpawnerMessage message, std::vector<Fd> fds) {
  const auto self = shared_from_this();
  const auto reply = std::make_shared<Reply>();
  const std::uint64_t id = message.id;
  replies_[id] = reply;
  auto sent = co_await send(std::move(message), std::move(fds));
  while (sent && alive_ && !reply->arrived) co_await changed_.wait();
  replies_.erase(id);
  if (!sent) co_return std::move(sent).error();
  if (!reply->arrived) co_return gone();
  if (reply->message.kind == Kind::failed) co_return Error{Error::Kind::unavailable, reply->message.text};
  co_return std::move(*reply);
}

asio::awaitable<bool> SpawnerClient::wait_for(bool SpawnerClient::*condition,
                                              std::chrono::steady_clock::time_point deadline) {
  const auto self = shared_from_this();
  asio::steady_timer timer(executor_, deadline);
  timer.async_wait([self](boost::system::error_code stopped) {
    if (!stopped) self->changed_.notify_all();
  });
  while (alive_ && !(this->*condition) && std::chrono::steady_clock::now() < deadline) co_await changed_.wait();
  co_return this->*condition;
}

asio::awaitable<Result<>> SpawnerClient::ready(std::chrono::milliseconds limit) {
  const bool up = co_await wait_for(&SpawnerClient::ready_, std::chrono::steady_clock::now() + limit);
  if (up) co_return Result<>{};
  if (!alive_) co_return gone();
  co_return Error{Error::Kind::unavailable, "the inner container did not come up in time"};
}

asio::awaitable<Result<SpawnerClient::Started>> SpawnerClient::start(Program program, std::vector<Fd> stdio,
                                                                     std::function<void(Ending)> ended) {
  const auto self = shared_from_this();
  const std::uint64_t id = ++last_id_;
  programs_[id] = std::move(ended);
  SpawnerMessage message{Kind::start, id, 0, encode(program)};
  auto reply = co_await ask(std::move(message), std::move(stdio));
  if (!reply) {
    programs_.erase(id);
    co_return std::move(reply).error();
  }
  Started started{id, static_cast<pid_t>(reply->message.number), {}};
  if (!reply->fds.empty()) {
    started.terminal = std::move(reply->fds.front());
    (void)::fcntl(started.terminal.get(), F_SETFL, ::fcntl(started.terminal.get(), F_GETFL) | O_NONBLOCK);
  }
  co_return started;
}

void SpawnerClient::signal(std::uint64_t id, int number, Reach reach) {
  const Kind kind = reach == Reach::group ? Kind::signal : Kind::signal_all;
  asio::co_spawn(
      executor_,
      [self = shared_from_this(), message = SpawnerMessage{kind, id, number, {}}]() -> asio::awaitable<void> {
        if (auto sent = co_await self->send(message); !sent) log::debug("ignoring: {}", log::one_line(sent.error()));
      },
      asio::detached);
}

asio::awaitable<Result<>> SpawnerClient::terminate(std::chrono::milliseconds grace) {
  terminated_ = false;
  SpawnerMessage message{Kind::terminate, 0, 0, {}};
  CO_TRY(co_await send(std::move(message)));
  const bool ended = co_await wait_for(&SpawnerClient::terminated_, std::chrono::steady_clock::now() + grace);
  if (ended) co_return Result<>{};
  co_return Error{Error::Kind::unavailable, "some programs did not end in time"};
}

}  // namespace sprite::agent
