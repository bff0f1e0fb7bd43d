#include "channel/port_watch.h"

#include <sys/epoll.h>

namespace sprite::channel {

PortWatch::PortWatch(boost::asio::any_io_executor executor, Fd epoll) : epoll_(std::move(executor), epoll.release()) {}

Result<PortWatch> PortWatch::open(boost::asio::any_io_executor executor, int port) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return system_error("cannot watch the channel's port");
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.u64 = 0}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, port, &event) != 0)
    return system_error("cannot watch the channel's port");
  return PortWatch(std::move(executor), std::move(epoll));
}

void PortWatch::forget() {
  epoll_event event;
  (void)::epoll_wait(epoll_.native_handle(), &event, 1, 0);
}

void PortWatch::wait(std::function<void()> changed) {
  epoll_.async_wait(boost::asio::posix::descriptor_base::wait_read, [changed](boost::system::error_code failed) {
    if (!failed) changed();
  });
}

}  // namespace sprite::channel
