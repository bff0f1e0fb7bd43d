#include "sprite/clock_watch.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <vector>

using namespace sprite;
using namespace std::chrono_literals;

namespace {

/// The kernel's part is played by a pipe: a byte in it is a clock that was set.
struct Host {
  Host() : told(*make_pipe()) { ::fcntl(told.read_end.get(), F_SETFL, O_NONBLOCK); }
  void set_clock(std::chrono::nanoseconds by) {
    offset += by;
    (void)!::write(told.write_end.get(), "12345678", 8);
  }
  Pipe told;
  std::chrono::nanoseconds offset = 1000s;
};

}  // namespace

TEST_CASE("each jump of the host's clock is told, and how far") {
  boost::asio::io_context loop;
  Host host;
  std::vector<std::chrono::nanoseconds> jumps;
  const ClockWatch watch(
      loop.get_executor(), std::move(host.told.read_end), [&] { return host.offset; },
      [&](ClockWatch::Offset jump) { jumps.push_back(jump); });
  loop.run_for(5ms);
  CHECK(jumps.empty());
  host.set_clock(3h);
  loop.run_for(20ms);
  host.set_clock(-90s);
  loop.run_for(20ms);
  CHECK(jumps == std::vector<std::chrono::nanoseconds>{3h, -90s});
  host.set_clock(1ms);  // what reading two clocks takes
  loop.run_for(20ms);
  CHECK(jumps.size() == 2);
}

TEST_CASE("a watch that is given up tells nothing") {
  boost::asio::io_context loop;
  Host host;
  bool told = false;
  {
    const ClockWatch watch(
        loop.get_executor(), std::move(host.told.read_end), [&] { return host.offset; },
        [&](ClockWatch::Offset) { told = true; });
    host.set_clock(1h);
  }
  loop.run_for(20ms);
  CHECK_FALSE(told);
}

TEST_CASE("the kernel has such a timer, and the host's offset does not move by itself") {
  CHECK(ClockWatch::host_timer());
  const auto before = ClockWatch::host_offset();
  CHECK(std::chrono::abs(ClockWatch::host_offset() - before) < 1s);
}
