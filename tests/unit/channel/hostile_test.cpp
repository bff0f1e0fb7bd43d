// What a hostile guest may try: a Link must close with an Error, or go on within its limits.
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>

#include "channel/frame.h"
#include "world.h"

using namespace sprite;
using namespace sprite::test;
using channel::Kind;
namespace error = boost::asio::error;

namespace {

/// A host's Link against a guest made of plain bytes.
struct Attack {
  explicit Attack(Link::Options options = {.streams_max = 8, .window_bytes = 64 * KiB, .unread_bytes_max = 128 * KiB})
      : pair(make_socket_pair()), host(io, std::move(pair.first), Role::host, options), guest(io) {
    guest.assign(asio::local::stream_protocol(), pair.second.release());
    greet();
  }

  void greet() {
    Bytes hello(channel::silence_sent_bytes + channel::greeting_bytes);
    REQUIRE(run(io, receive(hello)));
    const auto found = channel::HelloSeeker().feed(hello);
    REQUIRE(found.greeting);
    seed = channel::epoch_seed(found.greeting->nonce);
    const auto answer =
        channel::encode_greeting(Kind::acknowledge, {found.greeting->nonce, channel::protocol_version, 64 * KiB, 8});
    send(answer);
    REQUIRE(run(io, host.link->ready(5s)));
  }
  asio::awaitable<bool> receive(MutableByteView into) {
    auto [failed, got] = co_await asio::async_read(guest, asio::buffer(into.data(), into.size()), as_result);
    co_return !failed;
  }
  void send(ByteView bytes) {
    bool sent = false;
    asio::async_write(guest, asio::buffer(bytes.data(), bytes.size()), [&](auto, auto) { sent = true; });
    REQUIRE(run_until(io, [&] { return sent; }));
  }
  void send(Kind kind, std::uint32_t stream, ByteView payload = {}) {
    const auto header = channel::encode_header(seed, kind, stream, payload);
    Bytes bytes(header.size() + payload.size());
    std::ranges::copy(payload, std::ranges::copy(header, bytes.begin()).out);
    send(bytes);
  }
  /// Whether the Link came down, and for a broken protocol.
  bool refused() {
    run_until(
        io, [&] { return host.closed.has_value(); }, 2s);
    return host.closed && host.closed->kind == Error::Kind::corrupt && !host.link->open();
  }

  asio::io_context io;
  SocketPair pair;
  End host;
  asio::local::stream_protocol::socket guest;
  std::uint64_t seed = 0;
};

Bytes amount(std::uint32_t bytes) {
  Bytes payload(4);
  store_little(payload.data(), bytes);
  return payload;
}

}  // namespace

TEST_CASE("a guest that breaks the protocol loses its channel") {
  struct Case {
    const char* what;
    std::function<void(Attack&)> attack;
  };
  const Bytes full(channel::payload_bytes_max);
  const std::vector<Case> cases = {
      {"noise", [](Attack& a) { a.send(make_content(64, 1)); }},
      {"a frame of another epoch",
       [](Attack& a) {
         a.seed ^= 1;
         a.send(Kind::open, 2);
       }},
      {"an unknown kind", [](Attack& a) { a.send(static_cast<Kind>(99), 2); }},
      {"a HELLO", [](Attack& a) { a.send(Kind::hello, 0); }},
      {"an ACKNOWLEDGE of nothing", [](Attack& a) { a.send(Kind::acknowledge, 0); }},
      {"a stream never opened", [](Attack& a) { a.send(Kind::data, 2, as_bytes("x")); }},
      {"our own number", [](Attack& a) { a.send(Kind::open, 1); }},
      {"a number twice",
       [](Attack& a) {
         a.send(Kind::open, 2);
         a.send(Kind::open, 2);
       }},
      {"an OPEN with a payload", [](Attack& a) { a.send(Kind::open, 2, as_bytes("x")); }},
      {"empty data",
       [](Attack& a) {
         a.send(Kind::open, 2);
         a.send(Kind::data, 2);
       }},
      {"data after the end",
       [](Attack& a) {
         a.send(Kind::open, 2);
         a.send(Kind::end, 2);
         a.send(Kind::data, 2, as_bytes("x"));
       }},
      {"two ends",
       [](Attack& a) {
         a.send(Kind::open, 2);
         a.send(Kind::end, 2);
         a.send(Kind::end, 2);
       }},
      {"more than the window",
       [&](Attack& a) {
         a.send(Kind::open, 2);
         for (int i = 0; i < 3; ++i) a.send(Kind::data, 2, full);
       }},
      {"credit for nothing",
       [](Attack& a) {
         a.send(Kind::open, 2);
         a.send(Kind::credit, 2, amount(1));
       }},
      {"a CREDIT of the wrong length",
       [](Attack& a) {
         a.send(Kind::open, 2);
         a.send(Kind::credit, 2, as_bytes("x"));
       }},
      {"a length beyond the limit",
       [](Attack& a) {
         auto header = channel::encode_header(a.seed, Kind::open, 2, {});
         store_little(&header[8], 0xFFFF'FFFFU);
         a.send(header);
       }},
  };
  for (const Case& each : cases) {
    CAPTURE(each.what);
    Attack attack;
    each.attack(attack);
    CHECK(attack.refused());
  }
}

TEST_CASE("a guest that opens too many streams is refused them, and the Link goes on") {
  Attack attack;
  for (std::uint32_t id = 2; id <= 16; id += 2) attack.send(Kind::open, id);
  attack.send(Kind::open, 18);
  Bytes answer(channel::header_bytes);
  REQUIRE(run(attack.io, attack.receive(answer)));
  const auto parsed = channel::parse_frame(attack.seed, answer);
  REQUIRE(parsed.state == channel::Parsed::State::frame);
  CHECK(parsed.frame.kind == Kind::reset);
  CHECK(parsed.frame.stream == 18);
  CHECK(attack.host.accepted.size() == 8);
  CHECK_FALSE(attack.host.closed);
}

TEST_CASE("opening and resetting without end does not pile up streams") {
  Attack attack;
  attack.host.on_stream = [&, held = std::make_shared<std::vector<Stream>>()](Stream stream) {
    held->push_back(std::move(stream));
    CHECK(held->size() <= 8);
  };
  for (std::uint32_t id = 2; id < 400; id += 2) {
    attack.send(Kind::open, id);
    attack.send(Kind::reset, id);
  }
  run_until(
      attack.io, [] { return false; }, 50ms);
}

TEST_CASE("unread bytes have one limit for all streams; the stream that passes it is reset") {
  Attack attack;
  const Bytes full(channel::payload_bytes_max);
  for (std::uint32_t id = 2; id <= 6; id += 2) {
    attack.send(Kind::open, id);
    attack.send(Kind::data, id, full);
    attack.send(Kind::data, id, full);
  }
  REQUIRE(run_until(attack.io, [&] { return attack.host.accepted.size() == 3; }));
  Bytes answer(channel::header_bytes);
  REQUIRE(run(attack.io, attack.receive(answer)));
  const auto parsed = channel::parse_frame(attack.seed, answer);
  CHECK(parsed.frame.kind == Kind::reset);
  CHECK(parsed.frame.stream == 6);
  CHECK(run(attack.io, read_count(attack.host.accepted[0], full.size() * 2)).size() == full.size() * 2);
  CHECK(run(attack.io, read_to_end(attack.host.accepted[2])).ended == error::connection_reset);
}

TEST_CASE("a guest that never acknowledges costs nothing but the wait") {
  asio::io_context io;
  auto pair = make_socket_pair();
  End host(io, std::move(pair.first), Role::host);
  asio::local::stream_protocol::socket guest(io);
  guest.assign(asio::local::stream_protocol(), pair.second.release());
  const Bytes noise = make_content(16 * MiB, 4);
  bool sent = false;
  asio::async_write(guest, asio::buffer(noise), [&](auto, auto) { sent = true; });
  CHECK_FALSE(run(io, host.link->ready(300ms)));
  CHECK(run_until(io, [&] { return sent; }));
  CHECK_FALSE(host.closed);
}

TEST_CASE("a host that breaks the protocol costs a guest its streams, not its Link") {
  World world;
  auto [host, guest] = world.connect();
  Bytes buffer(1);
  boost::system::error_code ended;
  guest.async_read_some(asio::buffer(buffer), [&](auto failed, auto) { ended = failed; });
  const int transport = ::dup(world.host_fd);
  REQUIRE(::write(transport, "noise that is no frame at all", 29) == 29);
  ::close(transport);
  CHECK(run_until(world.io, [&] { return ended == error::connection_reset; }));
  CHECK_FALSE(world.guest.closed);
}
