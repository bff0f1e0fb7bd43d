#include "sprite/limited_turn.h"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>

using namespace sprite;
using namespace std::chrono_literals;

TEST_CASE("a turn passes on when the first use ends") {
  boost::asio::io_context io;
  Turns turns;
  auto use = std::make_shared<LimitedTurn>(io.get_executor(), *turns.try_take(), 1h);
  io.run_for(5ms);
  CHECK(turns.under_way());
  use.reset();
  CHECK_FALSE(turns.under_way());
  io.run_for(5s);
  CHECK(io.stopped());  // nothing is left that would wait for an hour
}

TEST_CASE("a use that goes on keeps its turn no longer than the limit, and gives it back once") {
  boost::asio::io_context io;
  Turns turns;
  auto use = std::make_shared<LimitedTurn>(io.get_executor(), *turns.try_take(), 5ms);
  io.run_for(1s);
  auto next = turns.try_take();
  REQUIRE(next);
  use.reset();
  CHECK(turns.under_way());
}

TEST_CASE("the first use of a machine has as long as its start took, and a second at most") {
  CHECK(limit_of_first_use(50ms) == 50ms);
  CHECK(limit_of_first_use(0ms) == 0ms);
  CHECK(limit_of_first_use(90s) == 1s);
}
