#pragma once
/// The sessions of a machine by id.
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/machine.h"
#include "agent/session.h"

namespace sprite::agent {

/// A session without a client when its program ended is kept for a while, so that its exit and latest output can be
/// fetched.
class Sessions {
 public:
  /// Also makes this process ignore SIGPIPE: a program may close its input at any time.
  explicit Sessions(Machine& machine);

  /// Starts a program with the machine's environment under its own. Errors: unavailable, invalid, not_found.
  asio::awaitable<Result<std::shared_ptr<Session>>> start(SessionOptions options);
  std::shared_ptr<Session> find(const std::string& id) const;
  /// The exit status of a session that is no longer there.
  std::optional<int> past(const std::string& id) const;
  std::vector<std::shared_ptr<Session>> running() const;
  /// Those there are run on for as long as they like, with or without a client.
  void outlive_clients();

 private:
  void ended(const std::string& id);
  std::string new_id() const;

  Machine* machine_;
  std::map<std::string, std::shared_ptr<Session>> sessions_;
  std::deque<std::shared_ptr<Session>> unseen_;  ///< Ended while nobody was attached.
  std::deque<std::pair<std::string, int>> past_;
};

}  // namespace sprite::agent
