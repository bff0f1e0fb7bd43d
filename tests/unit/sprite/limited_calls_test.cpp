#include "sprite/limited_calls.h"

#include <doctest/doctest.h>

#include <atomic>

#include "unit/http/loop.h"

using namespace sprite;
using namespace std::chrono_literals;

namespace {

/// Hangs until it is let go.
struct Gate {
  void open() { opened = true; }
  void pass() {
    while (!opened) std::this_thread::sleep_for(1ms);
  }
  std::atomic<bool> opened = false;
};

}  // namespace

TEST_CASE("a call gives its result, its error, or what it threw") {
  test::Loop loop;
  LimitedCalls calls;
  auto value = []() -> Result<int> { return 7; };
  CHECK(*loop.run(calls.call("counting", 5s, value)) == 7);
  auto refused = []() -> Result<> { return Error{Error::Kind::busy, "not now"}; };
  CHECK(loop.run(calls.call("asking", 5s, refused)).error().what == "not now");
  auto thrown = []() -> Result<> { throw std::runtime_error("oh"); };
  CHECK(loop.run(calls.call("trying", 5s, thrown)).error().kind == Error::Kind::internal);
}

TEST_CASE("calls that hang are given up in time and keep nobody from theirs, however many") {
  test::Loop loop;
  LimitedCalls calls;
  Gate gate;
  for (int i = 0; i < 20; ++i) {
    auto hang = [&gate]() -> Result<int> {
      gate.pass();
      return 1;
    };
    const auto begun = std::chrono::steady_clock::now();
    const auto outcome = loop.run(calls.call("waiting for libvirt", 20ms, hang));
    CHECK(std::chrono::steady_clock::now() - begun < 2s);
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().kind == Error::Kind::unavailable);
    CHECK(outcome.error().what == "waiting for libvirt takes more than 20ms");
  }
  auto quick = []() -> Result<int> { return 2; };
  CHECK(*loop.run(calls.call("counting", 5s, quick)) == 2);
  gate.open();
  calls.join();
  loop.run_for(10ms);  // their results arrive, and nobody waits any more
}
