// How many bytes per second go through the channel over a socketpair, each end with a thread of its own.
//   channel_bench [SECONDS]     prints a line for the bare socketpair, for 1 and for 100 streams
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "base/text.h"
#include "channel/link.h"

using namespace sprite;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t piece_bytes = 64 * KiB;

std::pair<Fd, Fd> make_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) die("no socketpair");
  return {Fd(fds[0]), Fd(fds[1])};
}

asio::awaitable<void> sink(Stream stream, std::atomic<std::uint64_t>& received) {
  Bytes buffer(piece_bytes);
  while (true) {
    auto [failed, got] = co_await stream.async_read_some(asio::buffer(buffer), as_result);
    if (failed) co_return;
    received += got;
  }
}

asio::awaitable<void> source(Stream stream, const bool& stopped) {
  const Bytes buffer(piece_bytes, std::byte{0x5A});
  while (!stopped) {
    auto [failed, sent] = co_await asio::async_write(stream, asio::buffer(buffer), as_result);
    if (failed) co_return;
  }
}

asio::awaitable<void> send_for(channel::Link& link, int streams, Clock::duration time, bool& stopped) {
  auto ready = co_await link.ready(5s);
  if (!ready) die("the channel is not ready");
  for (int i = 0; i < streams; ++i) {
    auto stream = link.open();
    if (!stream) die("no stream");
    asio::co_spawn(co_await asio::this_coro::executor, source(std::move(*stream), stopped), asio::detached);
  }
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  (void)co_await timer.async_wait(as_result);
  stopped = true;
  link.close();
}

/// Bytes that arrived since its construction, per second of wall clock and of processor (both ends).
class Meter {
 public:
  void print(std::string_view what, std::uint64_t bytes) const {
    const double wall = std::chrono::duration<double>(Clock::now() - wall_).count();
    const double processor = processor_seconds() - processor_;
    const auto megabytes = static_cast<double>(bytes) / 1e6;
    fmt::print("{:<22}{:7.0f} MB/s {:7.0f} MB per second of processor\n", what, megabytes / wall,
               megabytes / processor);
  }

 private:
  static double processor_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + time.tv_usec / 1e6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }

  Clock::time_point wall_ = Clock::now();
  double processor_ = processor_seconds();
};

void measure_channel(int streams, Clock::duration time) {
  auto [host_fd, guest_fd] = make_pair();
  std::atomic<std::uint64_t> received = 0;
  std::thread guest([&, fd = std::move(guest_fd)]() mutable {
    asio::io_context io(1);
    channel::Link link(
        io.get_executor(), std::move(fd), channel::Role::guest, {},
        [&](Stream stream) { asio::co_spawn(io, sink(std::move(stream), received), asio::detached); },
        [&](const Error&) { io.stop(); });
    io.run();
  });
  asio::io_context io(1);
  bool stopped = false;
  channel::Link link(io.get_executor(), std::move(host_fd), channel::Role::host, {}, {}, {});
  const Meter meter;
  asio::co_spawn(io, send_for(link, streams, time, stopped), asio::detached);
  io.run();
  guest.join();
  meter.print(fmt::format("channel, {} stream{}", streams, streams == 1 ? "" : "s"), received);
}

void measure_socket(Clock::duration time) {
  auto [from, to] = make_pair();
  std::uint64_t received = 0;
  std::thread reader([&, fd = std::move(to)] {
    Bytes buffer(piece_bytes);
    while (true) {
      const auto got = ::read(fd.get(), buffer.data(), buffer.size());
      if (got <= 0) return;
      received += static_cast<std::uint64_t>(got);
    }
  });
  const Bytes buffer(piece_bytes, std::byte{0x5A});
  const Meter meter;
  const auto end = Clock::now() + time;
  while (Clock::now() < end) (void)write_all(from.get(), buffer);
  from.reset();
  reader.join();
  meter.print("bare socketpair", received);
}

}  // namespace

int main(int argc, char** argv) {
  const auto time = std::chrono::seconds(argc > 1 ? std::atoi(argv[1]) : 3);
  measure_socket(time);
  for (const int streams : {1, 100}) measure_channel(streams, time);
}
