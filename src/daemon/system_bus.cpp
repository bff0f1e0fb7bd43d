// sd-bus says which events it waits for and until when; each time one of them comes it is given one step, so that a bus
// with much to say keeps nobody else from the loop. The loop watches a duplicate of sd-bus's socket, since sd-bus
// closes its own when the connection ends, and the number may be another file's by the time the loop hears of it.
#include "daemon/system_bus.h"

#include <fcntl.h>
#include <poll.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/fd.h"
#include "base/handle.h"
#include "daemon/systemd_library.h"

namespace sprite::daemon {
namespace {

namespace asio = boost::asio;

Error bus_error(int negative_errno) {
  errno = -negative_errno;
  return system_error("the system bus cannot be used");
}

}  // namespace

struct SystemBus::Link : std::enable_shared_from_this<Link> {
  Link(const asio::any_io_executor& executor, sd_bus* its_bus, std::function<void(const Error&)> its_lost)
      : bus(its_bus), lost(std::move(its_lost)), socket(executor), timer(executor) {}

  void work_soon() {
    asio::post(socket.get_executor(), [weak = weak_from_this()] {
      if (const auto link = weak.lock()) link->work();
    });
  }

  void work() {
    if (!bus) return;
    const int done = sd_bus_process(bus.get(), nullptr);
    if (!bus) return;  // a callback has lost it
    if (done < 0) return give_up(done);
    if (done > 0) return work_soon();
    const int failed = wait();
    if (failed < 0) give_up(failed);
  }

  /// A step more than is needed does no harm: one that was on its way is not taken back.
  int wait() {
    const int events = sd_bus_get_events(bus.get());
    if (events < 0) return events;
    std::uint64_t until_us = 0;  // of the clock that asio's timer has, too
    const int failed = sd_bus_get_timeout(bus.get(), &until_us);
    if (failed < 0) return failed;
    auto step = [weak = weak_from_this()](boost::system::error_code cancelled) {
      const auto link = weak.lock();
      if (link && !cancelled) link->work();
    };
    socket.cancel();
    timer.cancel();
    if (events & POLLIN) socket.async_wait(socket.wait_read, step);
    if (events & POLLOUT) socket.async_wait(socket.wait_write, step);
    if (until_us == UINT64_MAX) return 0;
    timer.expires_at(asio::steady_timer::time_point(std::chrono::microseconds(until_us)));
    timer.async_wait(step);
    return 0;
  }

  void give_up(int why) {
    bus.reset();
    boost::system::error_code ignored;
    socket.close(ignored);
    timer.cancel();
    lost(bus_error(why));
  }

  std::unique_ptr<sd_bus, Releaser<sd_bus_close_unref>> bus;
  std::function<void(const Error&)> lost;
  asio::posix::stream_descriptor socket;
  asio::steady_timer timer;
};

Result<SystemBus> SystemBus::open(const asio::any_io_executor& executor, std::function<void(const Error&)> lost) {
  TRY(load_systemd());
  sd_bus* opened = nullptr;
  const int failed = sd_bus_open_system(&opened);
  if (failed < 0) return bus_error(failed);
  auto link = std::make_shared<Link>(executor, opened, std::move(lost));
  Fd watched(::fcntl(sd_bus_get_fd(opened), F_DUPFD_CLOEXEC, 0));
  if (!watched) return system_error("the system bus cannot be watched");
  link->socket.assign(watched.release());
  link->work_soon();
  return SystemBus(std::move(link));
}

SystemBus::~SystemBus() {
  if (link_) link_->bus.reset();
}

void SystemBus::with(const std::function<int(sd_bus*)>& call) {
  if (!link_->bus) return;
  const int failed = call(link_->bus.get());
  if (failed < 0) return link_->give_up(failed);
  link_->work_soon();
}

}  // namespace sprite::daemon
