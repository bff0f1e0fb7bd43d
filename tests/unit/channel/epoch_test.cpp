// The beginning and end of epochs: transports that hold bytes of a former life, and hosts that die at any byte.
#include <unistd.h>

#include "channel/frame.h"
#include "channel/mux.h"
#include "world.h"

using namespace sprite;
using namespace sprite::test;
using channel::Kind;
using channel::Mux;
using channel::Nonce;
namespace error = boost::asio::error;

namespace {

Bytes take_output(Mux& mux) {
  Bytes bytes;
  while (mux.has_output()) {
    std::size_t size = 0;
    for (const iovec& piece : mux.plan(1 * MiB)) {
      const auto* data = static_cast<const std::byte*>(piece.iov_base);
      bytes.insert(bytes.end(), data, data + piece.iov_len);
      size += piece.iov_len;
    }
    mux.commit(size);
    if (size == 0) break;
  }
  return bytes;
}

/// Shows `bytes` to `mux` behind what it has left of earlier ones.
void feed(Mux& mux, Bytes& left, ByteView bytes) {
  left.insert(left.end(), bytes.begin(), bytes.end());
  const auto used = mux.receive(left);
  REQUIRE(used);
  left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(*used));
}

Nonce nonce_of(int epoch) { return {static_cast<std::byte>(epoch), std::byte{0x77}}; }

/// What the stream's reader got, and how it ended.
struct Reader {
  void read(Mux& mux, const channel::StreamRef& stream) {
    mux.read(*stream, asio::buffer(buffer), [&mux, stream, this](auto failed, std::size_t count) {
      got.insert(got.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count));
      ended = failed;
      if (!failed) read(mux, stream);
    });
  }
  Bytes buffer = Bytes(4096), got;
  boost::system::error_code ended;
};

void settle(Mux& mux) {
  while (mux.has_events()) {
    for (auto& event : mux.take_completions()) event.done(event.failed, event.bytes);
    (void)mux.take_accepted();
  }
}

/// What a host sends in its life: HELLO, a stream with `content`, its end.
Bytes host_life(int epoch, ByteView content, Mux& guest, Bytes& guest_left) {
  Mux host(Role::host, {}, nonce_of(epoch));
  host.say_hello();
  Bytes all = take_output(host);
  Bytes host_left;
  feed(guest, guest_left, all);
  feed(host, host_left, take_output(guest));
  REQUIRE(host.established());
  auto stream = host.open();
  REQUIRE(stream);
  host.write(*stream, asio::buffer(content.data(), content.size()), [](auto, auto) {});
  host.shutdown_send(*stream);
  const Bytes frames = take_output(host);
  all.insert(all.end(), frames.begin(), frames.end());
  host.close(*stream);
  settle(host);
  return all;
}

}  // namespace

TEST_CASE("a host may die at any byte; the next one is understood, and no reader gets a byte that was not sent") {
  for (const bool zeros : {false, true}) {  // content that ends like the silence is the harder one
    Bytes content = make_content(300, 5);
    if (zeros) std::fill(content.begin() + 100, content.end(), std::byte{});
    Mux model(Role::guest, {}, {});
    Bytes model_left;
    const Bytes life = host_life(1, content, model, model_left);
    model.end_epoch();
    settle(model);
    std::vector<std::size_t> cuts;
    for (std::size_t cut = channel::silence_sent_bytes - 3; cut <= life.size(); ++cut) cuts.push_back(cut);
    for (std::size_t cut = 0; cut < channel::silence_sent_bytes; cut += 4099) cuts.push_back(cut);
    for (const std::size_t cut : cuts) {
      CAPTURE(cut);
      Mux guest(Role::guest, {}, {});
      Bytes left;
      feed(guest, left, ByteView(life).first(cut));
      (void)take_output(guest);
      Reader reader;
      auto accepted = guest.take_accepted();
      if (!accepted.empty()) reader.read(guest, accepted.front());
      settle(guest);

      Mux next(Role::host, {}, nonce_of(2));
      next.say_hello();
      feed(guest, left, take_output(next));
      settle(guest);
      REQUIRE(guest.established());
      Bytes next_left;
      feed(next, next_left, take_output(guest));
      REQUIRE(next.established());
      if (cut < life.size() && !accepted.empty()) CHECK(reader.ended == error::connection_reset);
      if (cut == life.size()) CHECK(reader.ended == error::eof);
      REQUIRE(reader.got.size() <= content.size());
      CHECK(std::equal(reader.got.begin(), reader.got.end(), content.begin()));
      for (auto& stream : accepted) guest.close(stream);
    }
  }
}

TEST_CASE("a guest may have sent any part of its former life; the host begins behind it") {
  const auto acknowledge = channel::encode_greeting(Kind::acknowledge, {nonce_of(2), 1, 64 * KiB, 10});
  Bytes former = make_content(40, 3);
  const auto old = channel::encode_greeting(Kind::acknowledge, {nonce_of(1), 1, 64 * KiB, 10});
  former.insert(former.end(), old.begin(), old.end());
  const auto frame = channel::encode_header(channel::epoch_seed(nonce_of(1)), Kind::open, 2, {});
  former.insert(former.end(), frame.begin(), frame.end());
  for (std::size_t cut = 0; cut <= former.size(); ++cut) {
    CAPTURE(cut);
    Mux host(Role::host, {}, nonce_of(2));
    Bytes left;
    feed(host, left, ByteView(former).subspan(cut));
    CHECK_FALSE(host.established());
    feed(host, left, acknowledge);
    CHECK(host.established());
    CHECK(left.empty());
    CHECK(host.streams() == 0);
  }
}

TEST_CASE("content that looks like a HELLO begins no epoch, even when the host dies inside it") {
  const auto forged = channel::encode_greeting(Kind::hello, {nonce_of(66), 1, 64 * KiB, 10});
  Bytes content(channel::payload_bytes_max - forged.size());  // as much silence as fits
  content.insert(content.end(), forged.begin(), forged.end());
  content.insert(content.begin(), channel::payload_bytes_max, std::byte{});
  Mux model(Role::guest, {}, {});
  Bytes model_left;
  const Bytes life = host_life(1, content, model, model_left);
  model.end_epoch();
  settle(model);
  for (std::size_t start = 0; start < life.size(); start += 997) {  // a guest that begins to read anywhere
    Mux guest(Role::guest, {}, {});
    Bytes left;
    const auto known = start <= channel::frame_bytes_max;  // the real HELLO is still whole
    feed(guest, left, ByteView(life).subspan(start));
    CAPTURE(start);
    CHECK(guest.established() == known);
    const Bytes answer = take_output(guest);
    CHECK_FALSE(channel::seek_acknowledge(nonce_of(66), answer).greeting);
    guest.end_epoch();
    settle(guest);
  }
}

TEST_CASE("a repeated HELLO is acknowledged again and harms no stream") {
  Mux host(Role::host, {}, nonce_of(1)), guest(Role::guest, {}, {});
  Bytes host_left, guest_left;
  host.say_hello();
  const Bytes hello = take_output(host);
  feed(guest, guest_left, hello);
  feed(host, host_left, take_output(guest));
  auto stream = guest.open();
  REQUIRE(stream);
  feed(guest, guest_left, hello);
  CHECK(guest.streams() == 1);
  feed(host, host_left, take_output(guest));
  CHECK(host.established());
  CHECK(host.streams() == 1);
  for (auto& accepted : host.take_accepted()) host.close(accepted);
  guest.close(*stream);
}

TEST_CASE("a host that starts before the guest is heard when the guest comes, and noise before that is ignored") {
  asio::io_context io;
  auto pair = make_socket_pair();
  const Bytes noise = make_content(1000, 9);
  REQUIRE(sprite::write_all(pair.first.get(), noise));   // a former daemon's bytes on their way to the guest
  REQUIRE(sprite::write_all(pair.second.get(), noise));  // and a former agent's
  End host(io, std::move(pair.first), Role::host);
  CHECK_FALSE(run(io, host.link->ready(500ms)));
  CHECK_FALSE(host.link->open());
  End guest(io, std::move(pair.second), Role::guest);
  CHECK(run(io, host.link->ready(5s)));
  CHECK(run(io, guest.link->ready(5s)));
  CHECK(host.link->open());
}

TEST_CASE("another version is refused with both numbers") {
  Mux host(Role::host, {}, nonce_of(1));
  const auto other = host.receive(channel::encode_greeting(Kind::acknowledge, {nonce_of(1), 7, 64 * KiB, 10}));
  REQUIRE_FALSE(other);
  CHECK(other.error().kind == Error::Kind::unavailable);
  CHECK(other.error().what.find("version 7") != std::string::npos);
}
