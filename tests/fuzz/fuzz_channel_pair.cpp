// Two honest Muxes over a transport that moves as many bytes as the fuzzer likes, with hosts that die and come back in
// mid-frame. Every stream must deliver exactly what was written to it, in order, and end as it was ended.
#include <boost/asio/error.hpp>
#include <map>

#include "channel/mux.h"
#include "input.h"

using namespace sprite;
using namespace sprite::channel;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr Mux::Limits limits{.streams_max = 6, .window_bytes = 4 * KiB, .unread_bytes_max = 1 * MiB};

/// The n-th byte of every stream.
std::byte content(std::uint64_t n) { return static_cast<std::byte>(n * 37 + n / 251); }

/// A stream's end: it writes the sequence of content() and checks that it reads it.
struct User {
  StreamRef state;
  Bytes write_buffer, read_buffer;
  std::uint64_t written = 0, read = 0;
  bool writing = false, reading = false, shut = false, ended = false;
};

class Side {
 public:
  Side(Role role, const Nonce& nonce) : mux(role, limits, nonce) {}
  ~Side() {
    for (auto& user : users) mux.close(user->state);
    settle();
  }

  void write(User& user, std::size_t count) {
    if (user.writing || user.shut) return;
    user.write_buffer.resize(count);
    for (std::size_t i = 0; i < count; ++i) user.write_buffer[i] = content(user.written + i);
    user.writing = true;
    mux.write(user.state, asio::buffer(user.write_buffer), [&user](auto failed, std::size_t bytes) {
      user.writing = false;
      if (!failed) user.written += bytes;
      require(failed || bytes == user.write_buffer.size(), "a write is complete");
    });
  }
  void read(User& user, std::size_t count) {
    if (user.reading) return;
    user.read_buffer.assign(count, std::byte{});
    user.reading = true;
    mux.read(*user.state, asio::buffer(user.read_buffer), [&user](auto failed, std::size_t bytes) {
      user.reading = false;
      for (std::size_t i = 0; i < bytes; ++i)
        require(user.read_buffer[i] == content(user.read + i), "bytes arrive as written");
      user.read += bytes;
      if (failed == asio::error::eof) user.ended = true;
    });
  }
  void settle() {
    for (auto& event : mux.take_completions()) event.done(event.failed, event.bytes);
    for (auto& state : mux.take_accepted()) adopt(std::move(state));
  }
  void adopt(StreamRef state) {
    users.push_back(std::make_unique<User>());
    users.back()->state = std::move(state);
  }

  Mux mux;
  std::vector<std::unique_ptr<User>> users;
  Bytes outgoing;  ///< In the transport, on its way to the other side.
  Bytes incoming;  ///< Shown to the Mux and not used by it yet.
};

class Pair {
 public:
  Pair() : guest_(Role::guest, {}) { new_host(); }

  void step(Input& input) {
    Side& side = input.byte() % 2 ? *host_ : guest_;
    switch (input.byte() % 9) {
      case 0: open(side); break;
      case 1:
      case 2:
        with_user(side, input, [&](User& user) { side.write(user, 1 + input.number<std::uint16_t>() % 9000); });
        break;
      case 3:
        with_user(side, input, [&](User& user) { side.read(user, 1 + input.number<std::uint16_t>() % 9000); });
        break;
      case 4: with_user(side, input, [&](User& user) { shut(side, user); }); break;
      case 5: send(side, input.number<std::uint16_t>()); break;
      case 6: deliver(side, input.number<std::uint16_t>()); break;
      case 7:
        if (input.byte() < 8) new_host();
        break;
      default: host_->mux.say_hello();
    }
    host_->settle();
    guest_.settle();
  }

  /// Lets everything arrive: after it, both sides must agree about every stream of the present epoch.
  void finish() {
    host_->mux.say_hello();
    for (int quiet = 0; quiet < 4; ++quiet) {
      for (Side* side : {host_.get(), &guest_}) {
        for (auto& user : side->users) side->read(*user, 64 * KiB);
        send(*side, 64 * KiB);
        if (!side->outgoing.empty()) quiet = 0;
        deliver(*side, 256 * KiB);
        host_->settle();
        guest_.settle();
      }
    }
    require(host_->mux.established() && guest_.mux.established(), "the epoch has begun");
    for (auto& user : host_->users) check(*user);
  }

 private:
  /// The host dies with its streams and half sent frames; another one takes over the transport.
  void new_host() {
    Bytes on_its_way;
    if (host_) on_its_way = std::move(host_->outgoing);
    Nonce nonce{};
    store_little(nonce.data(), ++epoch_);
    host_.reset();
    host_ = std::make_unique<Side>(Role::host, nonce);
    host_->outgoing = std::move(on_its_way);
    host_->mux.say_hello();
  }

  void open(Side& side) {
    if (auto state = side.mux.open()) side.adopt(*state);
  }
  template <class Use>
  void with_user(Side& side, Input& input, Use use) {
    if (!side.users.empty()) use(*side.users[input.byte() % side.users.size()]);
  }
  void shut(Side& side, User& user) {
    side.mux.shutdown_send(user.state);
    user.shut = true;
  }

  void send(Side& side, std::size_t room) {
    std::size_t left = room;
    for (const iovec& piece : side.mux.plan(std::max<std::size_t>(room, frame_bytes_max))) {
      const auto* data = static_cast<const std::byte*>(piece.iov_base);
      side.outgoing.insert(side.outgoing.end(), data, data + std::min(left, piece.iov_len));
      left -= std::min(left, piece.iov_len);
    }
    side.mux.commit(room - left);
  }

  /// Moves bytes that `side` sent to the other one.
  void deliver(Side& side, std::size_t count) {
    Side& other = &side == &guest_ ? *host_ : guest_;
    const auto moved = static_cast<std::ptrdiff_t>(std::min(count, side.outgoing.size()));
    other.incoming.insert(other.incoming.end(), side.outgoing.begin(), side.outgoing.begin() + moved);
    side.outgoing.erase(side.outgoing.begin(), side.outgoing.begin() + moved);
    const auto used = other.mux.receive(other.incoming);
    require(used.has_value(), "an honest peer breaks no rule");
    other.incoming.erase(other.incoming.begin(), other.incoming.begin() + static_cast<std::ptrdiff_t>(*used));
  }

  void check(const User& host_user) {
    for (auto& guest_user : guest_.users) {
      if (guest_user->state->dead || guest_user->state->id != host_user.state->id) continue;
      check_direction(host_user, *guest_user);
      check_direction(*guest_user, host_user);
    }
  }
  static void check_direction(const User& from, const User& to) {
    require(to.read == from.written, "everything written has arrived");
    require(to.ended == from.shut, "an end arrives when it was sent");
  }

  std::uint64_t epoch_ = 0;
  Side guest_;
  std::unique_ptr<Side> host_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Pair pair;
  while (!input.empty()) pair.step(input);
  pair.finish();
  return 0;
}
