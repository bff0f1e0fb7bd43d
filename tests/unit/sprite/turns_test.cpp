#include "sprite/turns.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <string>

using namespace sprite;
namespace asio = boost::asio;

namespace {

asio::awaitable<void> work(Turns& turns, std::string& trace, char name) {
  const Turns::Turn turn = co_await turns.take();
  trace += name;
  asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(2));
  co_await timer.async_wait(asio::use_awaitable);
  trace += name;
}

}  // namespace

TEST_CASE("one coroutine at a time has its turn, in the order in which they came") {
  asio::io_context io;
  Turns turns;
  std::string trace;
  for (const char name : std::string("abcdef")) asio::co_spawn(io, work(turns, trace, name), asio::detached);
  io.run();
  CHECK(trace == "aabbccddeeff");
}

TEST_CASE("who comes can be told what it will wait for") {
  asio::io_context io;
  Turns turns;
  CHECK_FALSE(turns.under_way());
  const auto hold = [](Turns& all, std::string what) -> asio::awaitable<void> {
    const Turns::Turn turn = co_await all.take(std::move(what));
    asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(20));
    co_await timer.async_wait(asio::use_awaitable);
  };
  asio::co_spawn(io, hold(turns, "restore"), asio::detached);
  asio::co_spawn(io, hold(turns, "checkpoint"), asio::detached);
  io.run_for(std::chrono::milliseconds(10));
  CHECK(turns.under_way() == "restore");
  io.run_for(std::chrono::milliseconds(20));
  CHECK(turns.under_way() == "checkpoint");
  io.run();
  CHECK_FALSE(turns.under_way());
}

TEST_CASE("a turn that was given back can be taken again, and a destroyed Turns harms no one who waits") {
  asio::io_context io;
  auto turns = std::make_unique<Turns>();
  std::string trace;
  asio::co_spawn(io, work(*turns, trace, 'a'), asio::detached);
  asio::co_spawn(io, work(*turns, trace, 'b'), asio::detached);
  io.run_for(std::chrono::milliseconds(1));
  turns.reset();
  io.run();
  CHECK(trace == "aabb");
}

TEST_CASE("as many as may have their turns at once, the others in the order in which they came") {
  asio::io_context io;
  Turns turns(2);
  std::string trace;
  for (const char name : std::string("abcd")) asio::co_spawn(io, work(turns, trace, name), asio::detached);
  io.run();
  CHECK(trace.substr(0, 2) == "ab");
  CHECK(trace.size() == 8);
  CHECK(trace.find('c') > 1);
  CHECK(trace.find('d') > trace.find('c'));
  const auto first = turns.try_take(), second = turns.try_take();
  CHECK(first);
  CHECK(second);
  CHECK_FALSE(turns.try_take());
}

TEST_CASE("what needs no turn waits until one is free, after those that wait and those that come meanwhile") {
  asio::io_context io;
  Turns turns(2);
  std::string trace;
  for (const char name : std::string("abc")) asio::co_spawn(io, work(turns, trace, name), asio::detached);
  const auto behind = [&]() -> asio::awaitable<void> {
    co_await turns.until_one_is_free();
    trace += '.';
    CHECK_FALSE(turns.under_way());
  };
  for (int i = 0; i < 2; ++i) asio::co_spawn(io, behind, asio::detached);
  for (const char name : std::string("de")) asio::co_spawn(io, work(turns, trace, name), asio::detached);
  CHECK(io.run_for(std::chrono::seconds(10)) < 100);  // each waits, and nobody looks again and again
  CHECK(std::ranges::count(trace, '.') == 2);
  CHECK(trace.find('.') > trace.find('e'));
  CHECK(turns.try_take());
}
