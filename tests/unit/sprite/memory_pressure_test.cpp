#include "sprite/memory_pressure.h"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>

using namespace sprite;

namespace {

constexpr std::uint64_t reserve = 256 * MiB;

Shortage with(std::uint64_t free_mib, std::uint64_t growth_mib, std::uint64_t host_mib = 64 * 1024) {
  return shortage({free_mib * MiB, host_mib * MiB, true}, growth_mib * MiB, reserve);
}

}  // namespace

TEST_CASE("memory is not short while all that machines may still take is there") {
  CHECK(with(10, 10) == Shortage::none);
  CHECK(with(0, 0) == Shortage::none);
  CHECK(with(5000, 5000) == Shortage::none);
}

TEST_CASE("where it is not, what is left decides") {
  CHECK(with(2000, 5000) == Shortage::none);
  CHECK(with(1023, 5000) == Shortage::near);
  CHECK(with(256, 5000) == Shortage::near);
  CHECK(with(255, 5000) == Shortage::acute);
  CHECK(with(255, 255) == Shortage::none);
  CHECK(with(254, 255) == Shortage::acute);
}

TEST_CASE("a host whose memory is full is short of it, too, where memory files are in it") {
  CHECK(with(5000, 4000, 2000) == Shortage::none);
  CHECK(with(5000, 4000, 1000) == Shortage::near);
  CHECK(with(5000, 4000, 200) == Shortage::acute);
  CHECK(with(5000, 100, 200) == Shortage::near);  // nothing of ours can take it, others can
  CHECK(shortage({5000 * MiB, 200 * MiB, false}, 4000 * MiB, reserve) == Shortage::none);
}

TEST_CASE("a machine goes on when there is room for all, or twice the reserve") {
  CHECK(may_go_on({300 * MiB, GiB, true}, 100 * MiB, 200 * MiB, reserve));
  CHECK_FALSE(may_go_on({300 * MiB, GiB, true}, 100 * MiB, 201 * MiB, reserve));
  CHECK_FALSE(may_go_on({511 * MiB, GiB, true}, GiB, GiB, reserve));
  CHECK(may_go_on({512 * MiB, GiB, true}, GiB, GiB, reserve));
}

TEST_CASE("who waits while memory is plenty does not wait for lack of it") {
  CHECK(is_scarce("MemTotal:       8000 kB\nMemFree:  10 kB\nMemAvailable:    1999 kB\nSwapFree:  9000 kB\n"));
  CHECK_FALSE(is_scarce("MemTotal:       8000 kB\nMemFree:  10 kB\nMemAvailable:    2000 kB\nSwapFree:  0 kB\n"));
}

TEST_CASE("the less is left, the sooner is the next look") {
  CHECK(next_look({0, GiB, true}) == std::chrono::milliseconds(25));
  CHECK(next_look({GiB, 100 * GiB, true}) == std::chrono::milliseconds(250));
  CHECK(next_look({GiB, 100 * MiB, true}) == std::chrono::milliseconds(25));
  CHECK(next_look({100 * GiB, 100 * GiB, true}) == std::chrono::milliseconds(1000));
}

TEST_CASE("what is short is named") {
  CHECK(describe_shortage({100 * MiB, GiB, true}, "/m") == "memory is short: '/m' has 100 MiB left");
  CHECK(describe_shortage({GiB, 100 * MiB, true}, "/m") == "memory is short: the host has 100 MiB left");
}

TEST_CASE("what is free is looked up") {
  const FreeMemory free = free_memory("/");
  CHECK(free.directory_bytes > 0);
  CHECK(free.host_bytes > 0);
  CHECK(free_memory("/nowhere").directory_bytes == 0);
}

TEST_CASE("a watch for stalls can be made and given up, whatever the kernel has") {
  boost::asio::io_context loop;
  bool stalled = false;
  {
    const StallWatch watch(loop.get_executor(), [&] { stalled = true; });
  }
  loop.run_for(std::chrono::milliseconds(20));
  CHECK_FALSE(stalled);
}
