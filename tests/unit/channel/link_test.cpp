#include "channel/link.h"

#include "world.h"

using namespace sprite;
using namespace sprite::test;
namespace error = boost::asio::error;

TEST_CASE("bytes go both ways, and each direction ends by itself") {
  World world;
  auto [host, guest] = world.connect();
  CHECK(run(world.io, write_all(host, as_bytes("question"))));
  CHECK(as_text(run(world.io, read_count(guest, 8))) == "question");
  host.shutdown_send();
  CHECK(run(world.io, read_to_end(guest)).ended == error::eof);
  CHECK(run(world.io, write_all(guest, as_bytes("answer"))));
  guest.shutdown_send();
  const auto answer = run(world.io, read_to_end(host));
  CHECK(as_text(answer.bytes) == "answer");
  CHECK(answer.ended == error::eof);
  CHECK_FALSE(run(world.io, write_all(host, as_bytes("more"))));
}

TEST_CASE("the guest opens streams, too") {
  World world;
  auto guest = world.guest.link->open();
  REQUIRE(guest);
  REQUIRE(run_until(world.io, [&] { return !world.host.accepted.empty(); }));
  CHECK(run(world.io, write_all(*guest, as_bytes("hello"))));
  CHECK(as_text(run(world.io, read_count(world.host.accepted.front(), 5))) == "hello");
}

TEST_CASE("a hundred streams and more run at once, while some are not read at all") {
  constexpr unsigned streams = 150, stalled = 3;
  World world({.streams_max = 400, .window_bytes = 64 * KiB}, {.streams_max = 400, .window_bytes = 64 * KiB});
  std::minstd_rand random(20260602);
  unsigned finished = 0, echoed = 0;
  std::vector<Stream> never_read;

  world.guest.on_stream = [&](Stream stream) {  // echoes; but the first ones are never read
    if (never_read.size() < stalled) return never_read.push_back(std::move(stream));
    asio::co_spawn(
        world.io,
        [](Stream own, unsigned& done) -> asio::awaitable<void> {
          Bytes buffer(10'000);
          while (true) {
            auto [failed, got] = co_await own.async_read_some(asio::buffer(buffer), as_result);
            if (failed) break;
            co_await write_all(own, ByteView(buffer).first(got));
          }
          own.shutdown_send();
          ++done;
        }(std::move(stream), echoed),
        asio::detached);
  };
  std::vector<std::unique_ptr<Stream>> opened;
  const Bytes endless(1 * MiB);
  std::vector<Bytes> contents;
  contents.reserve(streams);
  for (unsigned i = 0; i < stalled + streams; ++i) {
    opened.push_back(std::make_unique<Stream>(*world.host.link->open()));
    Stream& stream = *opened.back();
    if (i < stalled) {
      stream.async_write_some(asio::buffer(endless), [](auto, auto) {});
      continue;
    }
    contents.push_back(make_content(random() % 300'000, i));
    asio::co_spawn(
        world.io,
        [](Stream& own, const Bytes& content) -> asio::awaitable<void> {
          co_await write_all(own, content);
          own.shutdown_send();
        }(stream, contents.back()),
        asio::detached);
    asio::co_spawn(
        world.io,
        [](Stream& own, const Bytes& content, unsigned& done) -> asio::awaitable<void> {
          const auto got = co_await read_to_end(own);
          if (got.ended == error::eof && got.bytes == content) ++done;
        }(stream, contents.back(), finished),
        asio::detached);
  }
  CHECK(run_until(
      world.io, [&] { return finished == streams; }, 60s));
  CHECK(finished == streams);
  CHECK(echoed == streams);
  CHECK(never_read.size() == stalled);
}

TEST_CASE("a writer gets a window ahead of its reader, and no further") {
  constexpr std::uint32_t window = 32 * KiB;
  World world({.window_bytes = window}, {.window_bytes = window});
  auto [host, guest] = world.connect();
  const Bytes content = make_content(window + 1, 2);
  bool first = false, second = false;
  host.async_write_some(asio::buffer(content.data(), window), [&](auto failed, auto) { first = !failed; });
  CHECK(run_until(world.io, [&] { return first; }));
  host.async_write_some(asio::buffer(content.data() + window, 1), [&](auto failed, auto) { second = !failed; });
  CHECK_FALSE(run_until(
      world.io, [&] { return second; }, 200ms));
  CHECK(run(world.io, read_count(guest, window + 1)) == content);
  CHECK(run_until(world.io, [&] { return second; }));
}

TEST_CASE("closing a stream resets its other end, after what had arrived was read") {
  World world;
  auto [host, guest] = world.connect();
  CHECK(run(world.io, write_all(host, as_bytes("last words"))));
  host.close();
  const auto got = run(world.io, read_to_end(guest));
  CHECK(as_text(got.bytes) == "last words");
  CHECK(got.ended == error::connection_reset);
  CHECK_FALSE(run(world.io, write_all(guest, as_bytes("too late"))));
}

TEST_CASE("a stream destroyed after its end was sent looks complete to the other end") {
  World world;
  auto [host, guest] = world.connect();
  CHECK(run(world.io, write_all(host, as_bytes("response"))));
  host.shutdown_send();
  host = Stream();
  const auto got = run(world.io, read_to_end(guest));
  CHECK(as_text(got.bytes) == "response");
  CHECK(got.ended == error::eof);
}

TEST_CASE("a write cut off by close never looks complete, even if its end was asked for") {
  World world({.window_bytes = 4 * KiB}, {.window_bytes = 4 * KiB});
  auto [host, guest] = world.connect();
  const Bytes content(100'000);
  boost::system::error_code ended;
  host.async_write_some(asio::buffer(content), [&](auto failed, auto) { ended = failed; });
  host.shutdown_send();
  run_until(
      world.io, [] { return false; }, 50ms);
  host.close();
  CHECK(run(world.io, read_to_end(guest)).ended == error::connection_reset);
  CHECK(ended == error::operation_aborted);
}

TEST_CASE("operations under way are aborted by close, and streams outlive their Link") {
  World world;
  auto [host, guest] = world.connect();
  Bytes buffer(10);
  boost::system::error_code own, others;
  host.async_read_some(asio::buffer(buffer), [&](auto failed, auto) { own = failed; });
  host.close();
  CHECK(run_until(world.io, [&] { return own == error::operation_aborted; }));
  guest.async_read_some(asio::buffer(buffer), [&](auto failed, auto) { others = failed; });
  CHECK(run_until(world.io, [&] { return others == error::connection_reset; }));

  auto [host2, guest2] = world.connect();
  world.host.link.reset();
  world.guest.link.reset();
  CHECK_FALSE(run(world.io, write_all(host2, as_bytes("x"))));
  CHECK(run(world.io, read_to_end(guest2)).ended == error::connection_reset);
  CHECK_FALSE(world.host.closed);
}

TEST_CASE("when the transport is lost, streams are reset, waiters fail and each end is told once") {
  World world;
  auto [host, guest] = world.connect();
  CHECK(run(world.io, write_all(host, as_bytes("abc"))));
  CHECK(as_text(run(world.io, read_count(guest, 3))) == "abc");
  world.host.link->close();
  CHECK(run_until(world.io, [&] { return world.guest.closed.has_value(); }));
  CHECK(world.guest.closed->kind == Error::Kind::unavailable);
  CHECK(run(world.io, read_to_end(guest)).ended == error::connection_reset);
  CHECK(run(world.io, read_to_end(host)).ended == error::connection_reset);
  CHECK_FALSE(run(world.io, world.guest.link->ready(5s)));
  CHECK(world.guest.link->open().error().kind == Error::Kind::unavailable);
}

TEST_CASE("no more streams than allowed, and one more when one is gone") {
  World world({.streams_max = 3}, {.streams_max = 5});
  std::vector<std::pair<Stream, Stream>> streams;
  for (int i = 0; i < 3; ++i) streams.push_back(world.connect());
  const auto refused = world.host.link->open();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::busy);
  CHECK_FALSE(world.guest.link->open());  // the host granted three
  streams.pop_back();
  run_until(
      world.io, [] { return false; }, 50ms);
  CHECK(world.host.link->open());
}

TEST_CASE("callbacks may destroy streams and Links") {
  for (const bool whole_link : {false, true}) {
    World world;
    auto [host, guest] = world.connect();
    auto host_stream = std::make_unique<Stream>(std::move(host));
    Bytes buffer(100);
    bool called = false;
    host_stream->async_read_some(asio::buffer(buffer), [&](auto, auto) {
      called = true;
      host_stream.reset();
      if (whole_link) world.host.link.reset();
    });
    CHECK(run(world.io, write_all(guest, as_bytes("now"))));
    CHECK(run_until(world.io, [&] { return called; }));

    world.guest.on_stream = [&](Stream) { world.guest.link.reset(); };
    if (world.host.link) (void)world.host.link->open();
    run_until(
        world.io, [&] { return !world.guest.link; }, 200ms);
    run_until(
        world.io, [] { return false; }, 20ms);
  }
}

TEST_CASE("an io_context may go away with everything still under way") {
  Bytes buffer(100);
  auto world = std::make_unique<World>();
  auto streams = world->connect();
  streams.first.async_read_some(asio::buffer(buffer), [](auto, auto) {});
  asio::co_spawn(world->io, world->host.link->ready(1s), asio::detached);
  auto lonely = make_socket_pair();
  End alone(world->io, std::move(lonely.first), Role::host);
  asio::co_spawn(world->io, alone.link->ready(10s), asio::detached);
  run_until(
      world->io, [] { return false; }, 20ms);
  streams.first.async_read_some(asio::buffer(buffer), [stream = std::move(streams.second)](auto, auto) {});
  alone.link.reset();
  streams = {};
}

TEST_CASE("ten thousand streams in a row leave nothing behind") {
  World world;
  world.guest.on_stream = [](Stream stream) { stream.shutdown_send(); };
  for (int i = 0; i < 10'000; ++i) {
    auto stream = world.host.link->open();
    REQUIRE(stream);
    const auto ended = run(world.io, read_to_end(*stream, 16)).ended;
    REQUIRE(ended == error::eof);
  }
}

TEST_CASE("a small message does not wait for a large one") {
  World world;
  auto [bulk, bulk_reader] = world.connect();
  auto [small, small_reader] = world.connect();
  const Bytes endless(64 * MiB);
  std::size_t arrived = 0;
  bulk.async_write_some(asio::buffer(endless), [](auto, auto) {});
  Bytes buffer(256 * KiB);
  std::function<void()> read_on = [&] {
    bulk_reader.async_read_some(asio::buffer(buffer), [&](auto failed, std::size_t count) {
      arrived += count;
      if (!failed) read_on();
    });
  };
  read_on();
  REQUIRE(run_until(world.io, [&] { return arrived > 1 * MiB; }));
  const std::size_t before = arrived;
  CHECK(run(world.io, write_all(small, as_bytes("soon"))));
  CHECK(as_text(run(world.io, read_count(small_reader, 4))) == "soon");
  CHECK(arrived - before < 3 * MiB);
  CHECK(arrived < endless.size());
}
