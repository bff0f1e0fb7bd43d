#pragma once
/// Notices that the host goes down, and holds that up while sprites go to the disk: a "delay" lock of systemd's logind
/// (https://systemd.io/INHIBITOR_LOCKS), which waits for us for as long as its InhibitDelayMaxSec says (5 s by
/// default).
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

namespace sprite::daemon {

class HostShutdown {
 public:
  using PutAway = std::function<boost::asio::awaitable<void>()>;

  /// Runs `put_away` on the executor whenever the host is about to go down; when that is over the lock is let go.
  /// Without a system bus, or a logind on it, nothing ever happens.
  HostShutdown(const boost::asio::any_io_executor& executor, PutAway put_away);
  HostShutdown(const HostShutdown&) = delete;
  ~HostShutdown();

 private:
  struct Watch;
  std::shared_ptr<Watch> watch_;
};

}  // namespace sprite::daemon
