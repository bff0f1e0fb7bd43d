// States: without a bus (a timer tries again, ever more seldom); on the bus, with or without a lock. logind lets go of
// nothing by itself: the lock is held as long as its descriptor is open, also while logind is started anew. It is taken
// on arrival, when a logind appears, and when a shutdown was called off; it is closed when sprites are on the disk, and
// when the bus is lost, since nobody would tell us then that it is waited for.
#include "daemon/host_shutdown.h"

#include <fcntl.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <optional>
#include <string>

#include "base/fd.h"
#include "base/log.h"
#include "daemon/system_bus.h"

namespace sprite::daemon {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr auto shutdown_is_near =
    "type='signal',sender='org.freedesktop.login1',path='/org/freedesktop/login1',"
    "interface='org.freedesktop.login1.Manager',member='PrepareForShutdown'";
constexpr auto logind_appears =
    "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
    "member='NameOwnerChanged',arg0='org.freedesktop.login1'";
constexpr std::chrono::seconds first_wait = 1s, longest_wait = 1h;

std::string sender_of(sd_bus_message* message) {
  const char* sender = sd_bus_message_get_sender(message);
  return sender ? sender : "";
}

}  // namespace

struct HostShutdown::Watch : std::enable_shared_from_this<Watch> {
  Watch(const asio::any_io_executor& executor, PutAway its_put_away)
      : put_away(std::move(its_put_away)), next_try(executor) {}

  /// A callback of sd-bus that calls a member.
  template <void (Watch::*Member)(sd_bus_message*)>
  static int calls(sd_bus_message* message, void* watch, sd_bus_error*) {
    (static_cast<Watch*>(watch)->*Member)(message);
    return 0;
  }

  void connect() {
    auto opened = SystemBus::open(next_try.get_executor(), [this](const Error& why) { try_later(why); });
    if (!opened) return try_later(opened.error());
    bus.emplace(*std::move(opened));
    bus->with([this](sd_bus* connection) {
      return sd_bus_add_match_async(connection, nullptr, shutdown_is_near, calls<&Watch::host_goes_down>, nullptr,
                                    this);
    });
    bus->with([this](sd_bus* connection) {
      return sd_bus_add_match_async(connection, nullptr, logind_appears, calls<&Watch::owner_changed>, nullptr, this);
    });
    take_lock();
  }

  void try_later(const Error& why) {
    log::debug("nobody tells us when this host goes down: {}", log::one_line(why));
    lock.reset();
    next_try.expires_after(wait);
    wait = std::min(2 * wait, longest_wait);
    next_try.async_wait([weak = weak_from_this()](boost::system::error_code cancelled) {
      const auto watch = weak.lock();
      if (!watch || cancelled) return;
      watch->bus.reset();
      watch->connect();
    });
  }

  void take_lock() {
    bus->with([this](sd_bus* connection) {
      return sd_bus_call_method_async(connection, nullptr, "org.freedesktop.login1", "/org/freedesktop/login1",
                                      "org.freedesktop.login1.Manager", "Inhibit", calls<&Watch::inhibit_answered>,
                                      this, "ssss", "shutdown", "sprite", "Sprites go to the disk", "delay");
    });
  }

  void inhibit_answered(sd_bus_message* answer) {
    logind_is = sender_of(answer);
    int its_fd = -1;
    if (const sd_bus_error* error = sd_bus_message_get_error(answer)) {
      const bool refused = sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED) != 0;  // else there is no logind
      log::write(refused ? log::Level::info : log::Level::debug,
                 "a shutdown of this host does not wait for us: " +
                     std::string(error->message ? error->message : error->name));
      return;
    }
    if (sd_bus_message_read(answer, "h", &its_fd) < 0) return;
    lock.reset(::fcntl(its_fd, F_DUPFD_CLOEXEC, 0));
    wait = first_wait;
    log::debug("a shutdown of this host waits for us");
  }

  void owner_changed(sd_bus_message* signal) {
    const char *name = nullptr, *before = nullptr, *now = nullptr;
    if (sd_bus_message_read(signal, "sss", &name, &before, &now) < 0) return;
    if (*now && now != logind_is && !goes_down) take_lock();
  }

  /// Anybody on the bus can send us such a signal: only that of whoever answers as logind counts.
  void host_goes_down(sd_bus_message* signal) {
    int begins = 0;
    if (sender_of(signal) != logind_is || sd_bus_message_read(signal, "b", &begins) < 0) return;
    goes_down = begins != 0;
    if (!begins) return take_lock();
    log::info("this host goes down: sprites go to the disk");
    auto let_go = [held = std::make_shared<Fd>(std::move(lock))](std::exception_ptr) {
      log::info("this host may go down");
      held->reset();
    };
    asio::co_spawn(next_try.get_executor(), put_away(), std::move(let_go));
  }

  PutAway put_away;
  asio::steady_timer next_try;
  std::chrono::seconds wait = first_wait;
  std::string logind_is;  ///< The name on the bus of who answered last as logind.
  bool goes_down = false;
  Fd lock;
  std::optional<SystemBus> bus;
};

HostShutdown::HostShutdown(const asio::any_io_executor& executor, PutAway put_away)
    : watch_(std::make_shared<Watch>(executor, std::move(put_away))) {
  watch_->connect();
}

HostShutdown::~HostShutdown() = default;

}  // namespace sprite::daemon
