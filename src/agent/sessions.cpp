#include "agent/sessions.h"

#include <signal.h>

#include "base/bytes.h"

namespace sprite::agent {
namespace {

constexpr std::size_t unseen_max = 32, past_max = 1024;

template <class T>
void push_bounded(std::deque<T>& queue, T value, std::size_t limit) {
  queue.push_back(std::move(value));
  if (queue.size() > limit) queue.pop_front();
}

}  // namespace

Sessions::Sessions(Machine& machine) : machine_(&machine) { ::signal(SIGPIPE, SIG_IGN); }

asio::awaitable<Result<std::shared_ptr<Session>>> Sessions::start(SessionOptions options) {
  CO_TRY_LET(auto spawner, co_await machine_->spawner());
  if (const auto& configuration = machine_->configuration()) {
    std::vector<std::string> environment;
    for (const auto& [key, value] : configuration->environment) environment.push_back(key + "=" + value);
    auto& own = options.program.environment;
    own.insert(own.begin(), environment.begin(), environment.end());
  }
  Session::Ended on_end = [this](const std::string& id) { ended(id); };
  auto session = co_await Session::start(std::move(spawner), new_id(), std::move(options), std::move(on_end));
  if (!session) co_return std::move(session).error();
  if (!(*session)->status()) sessions_[(*session)->id()] = *session;
  co_return *session;
}

std::shared_ptr<Session> Sessions::find(const std::string& id) const {
  if (const auto found = sessions_.find(id); found != sessions_.end()) return found->second;
  for (const auto& session : unseen_)
    if (session->id() == id) return session;
  return nullptr;
}

std::optional<int> Sessions::past(const std::string& id) const {
  for (const auto& [past_id, status] : past_)
    if (past_id == id) return status;
  return std::nullopt;
}

std::vector<std::shared_ptr<Session>> Sessions::running() const {
  std::vector<std::shared_ptr<Session>> list;
  for (const auto& [id, session] : sessions_) list.push_back(session);
  return list;
}

void Sessions::outlive_clients() {
  for (const auto& [id, session] : sessions_) session->outlive_clients();
}

void Sessions::ended(const std::string& id) {
  auto session = sessions_.extract(id);
  if (!session) return;
  push_bounded(past_, {id, session.mapped()->status().value_or(0)}, past_max);
  if (!session.mapped()->has_clients()) push_bounded(unseen_, std::move(session.mapped()), unseen_max);
}

/// Random, so that the ids of a clone or of a machine's earlier life are never met again.
std::string Sessions::new_id() const { return to_hex(random_bytes(6)); }

}  // namespace sprite::agent
