// Start order: directories and lock, log, loopback port, sprites, then the Unix socket, so that whoever can connect
// there is served by a daemon that is complete. Stop order: listeners and connections, then sprites (which makes their
// disks durable), then the socket's file, then the lock. The lock file and daemon.json stay: removing a lock file would
// let two processes hold locks on two files of one name. A kill -9 at any point leaves only a socket file that the next
// daemon replaces.
#include "daemon/daemon.h"

#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <cstdlib>
#include <optional>

#include "api/api.h"
#include "api/guest.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/unix_socket.h"
#include "daemon/host_shutdown.h"
#include "daemon/instance.h"
#include "daemon/log_file.h"
#include "http/server.h"
#include "settings/daemon_record.h"
#include "sprite/all_to_disk.h"
#include "sprite/open.h"

namespace sprite::daemon {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr unsigned stop_limit_s = 5;
constexpr auto connections_limit = 1s;  ///< For requests under way to notice that their connections are gone.

/// Tells whoever started us how it went; once.
class Report {
 public:
  explicit Report(int fd) : pipe_(fd) {}
  void send(const Result<>& outcome) {
    if (!pipe_) return;
    (void)write_all(pipe_.get(), as_bytes(settings::encode_startup_report(outcome)));  // it may have given up waiting
    pipe_.reset();
  }

 private:
  Fd pipe_;
};

/// No core dumps (they would hold guests' secrets), all the descriptors we may have, no death by a closed connection,
/// and not a heap for each thread, of which every one keeps what it once needed.
void prepare_process() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::mallopt(M_ARENA_MAX, 2);
  ::umask(077);
}

/// Ends the process when stopping takes too long, whatever it hangs in. Disks are as after a crash: whole.
void limit_stop_time() {
  ::signal(SIGALRM, [](int) {
    constexpr std::string_view text = "stopping took longer than 5 s: ending all the same\n";
    (void)!::write(STDERR_FILENO, text.data(), text.size());
    ::_exit(1);
  });
  ::alarm(stop_limit_s);
}

struct Listener {
  Fd socket;
  settings::DaemonRecord record;
};

/// The loopback listener; port and token stay those of the last daemon where that is possible.
Result<Listener> listen_loopback(const settings::Settings& settings) {
  TRY_LET(const auto last, settings::read_daemon_record(settings.runtime_dir));
  settings::DaemonRecord record{::getpid(), settings.api_port, "", SPRITE_VERSION};
  record.token = last && !last->token.empty() ? last->token : to_hex(random_bytes(32));
  auto listening = http::listen_loopback(record.port == 0 && last ? last->port : record.port);
  if (!listening && settings.api_port == 0) listening = http::listen_loopback(0);
  if (!listening)
    return std::move(listening).error().within("cannot serve the API on port " + std::to_string(settings.api_port));
  record.port = listening->second;
  return Listener{std::move(listening->first), std::move(record)};
}

vm::AcceleratorChoice to_choice(const std::string& accelerator) {
  if (accelerator == "kvm") return vm::AcceleratorChoice::kvm;
  return accelerator == "emulation" ? vm::AcceleratorChoice::emulation : vm::AcceleratorChoice::automatic;
}

SpritesOptions sprites_options(const settings::Settings& settings, std::uint16_t port) {
  SpritesOptions options;
  options.data_dir = settings.data_dir;
  options.runtime_dir = settings.runtime_dir;
  options.state_dir = settings.state_dir;
  options.memory_dir = settings.memory_dir;
  options.default_image = settings.default_image;
  options.default_memory_bytes = settings.sprite_memory_bytes;
  options.default_vcpus = settings.sprite_vcpus;
  options.template_budget_bytes = settings.template_budget_bytes;
  options.blanks_max = settings.blanks_max;
  options.memory_reserve_bytes = settings.memory_reserve_bytes;
  options.sleep_after = settings.sleep_after;
  options.sleep_deep_after = settings.sleep_deep_after;
  options.sleep_timer_floor = settings.sleep_timer_floor;
  options.hypervisor_uri = settings.hypervisor_uri;
  options.accelerator = to_choice(settings.accelerator);
  options.url = "http://127.0.0.1:" + std::to_string(port);
  return options;
}

Result<> log_to_file(const settings::Settings& settings) {
  TRY_LET(auto file, LogFile::open(settings::daemon_log(settings.state_dir), settings.log_limit_bytes));
  log::set_sink([file](std::string_view line) { file->write(line); });
  return {};
}

Result<> serve(const settings::Settings& settings, const Options& options, Report& report) {
  asio::io_context loop(1);
  asio::signal_set ends(loop, SIGTERM, SIGINT, SIGHUP);
  TRY_LET(const Instance instance, claim(settings));
  if (options.detached) {
    TRY(log_to_file(settings));
  }
  TRY_LET(Listener loopback, listen_loopback(settings));
  TRY_LET(std::shared_ptr<Sprites> sprites,
          open_sprites(loop.get_executor(), sprites_options(settings, loopback.record.port)));
  const http::Router router = api::make_router(*sprites);
  auto guests = std::make_unique<api::GuestApi>(loop.get_executor(), *sprites);
  http::Server local(loop.get_executor(), router);
  http::Server with_token(loop.get_executor(), router, api::loopback_guard(loopback.record.token));
  const Path socket = settings::daemon_socket(settings.runtime_dir);
  TRY_LET(Fd local_socket, listen_unix(socket));
  TRY(settings::write_daemon_record(settings.runtime_dir, loopback.record));
  with_token.listen(std::move(loopback.socket));
  local.listen(std::move(local_socket));
  log::info("daemon {} is ready: process {}, 127.0.0.1:{}", SPRITE_VERSION, ::getpid(), loopback.record.port);
  report.send({});
  std::optional<HostShutdown> host_shutdown(std::in_place, loop.get_executor(),
                                            [&sprites] { return put_all_on_disk(*sprites); });

  ends.async_wait([&](boost::system::error_code, int signal) {
    log::info("stopping: signal {}", signal);
    limit_stop_time();
    local.stop();
    with_token.stop();
    loop.stop();
  });
  loop.run();
  loop.restart();
  const auto deadline = std::chrono::steady_clock::now() + connections_limit;
  while (local.connections() + with_token.connections() > 0 && std::chrono::steady_clock::now() < deadline)
    loop.run_one_until(deadline);
  host_shutdown.reset();
  guests.reset();
  sprites->close();
  sprites.reset();
  ::unlink(socket.c_str());
  log::info("stopped");
  return {};
}

}  // namespace

Result<> run(const settings::Settings& settings, const Options& options) {
  Report report(options.report_fd);
  log::set_level(settings.log_level);
  prepare_process();
  auto outcome = serve(settings, options, report);
  if (!outcome && options.detached) log::error("{}", log::one_line(outcome.error()));
  report.send(outcome);
  return outcome;
}

}  // namespace sprite::daemon
