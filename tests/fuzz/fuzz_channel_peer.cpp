// A Mux of either role whose peer sends whatever the fuzzer likes, while streams are used and the transport takes what
// it likes. No input may crash it, pass its limits, lose a callback or make it send what is no sequence of frames.
#include <boost/asio/error.hpp>

#include "channel/mux.h"
#include "input.h"

using namespace sprite;
using namespace sprite::channel;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr Nonce nonce{std::byte{0xAB}, std::byte{0xCD}};
constexpr Mux::Limits limits{.streams_max = 8, .window_bytes = 8 * KiB, .unread_bytes_max = 24 * KiB};

class Hostile {
 public:
  explicit Hostile(Role role) : role_(role), mux_(role, limits, nonce), buffer_(64 * KiB) {
    if (role == Role::host) mux_.say_hello();
    greet(nonce);
  }
  ~Hostile() {
    for (auto& stream : owned_) mux_.close(stream);
    settle();
    require(callbacks_ == 0, "every operation was completed");
    require(mux_.unread_bytes() == 0, "closed streams hold nothing");
  }

  void step(Input& input) {
    switch (input.byte() % 10) {
      case 0: return raw(input.bytes(input.byte()));
      case 1:
      case 2: return frame(input);
      case 3: return open();
      case 4: return read(input);
      case 5: return write(input);
      case 6: return use(input, [this](auto& stream) { mux_.shutdown_send(stream); });
      case 7: return close(input);
      case 8: return greet(Nonce{std::byte{input.byte()}});
      default: return send(input.number<std::uint16_t>());
    }
  }

 private:
  void raw(ByteView bytes) {
    if (broken_) return;
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    const auto used = mux_.receive(pending_);
    if (!used && role_ == Role::host) broken_ = true;  // the link would be closed now
    if (!used) mux_.end_epoch();
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(used ? *used : pending_.size()));
    require(pending_.size() <= frame_bytes_max, "less than a frame is held back");
    settle();
  }

  void greet(const Nonce& theirs) {
    Bytes bytes;
    if (role_ == Role::guest) bytes.resize(silence_sent_bytes);
    if (role_ == Role::guest) seed_ = epoch_seed(theirs);
    const auto kind = role_ == Role::guest ? Kind::hello : Kind::acknowledge;
    const auto greeting = encode_greeting(kind, {theirs, protocol_version, 8 * KiB, 4});
    bytes.insert(bytes.end(), greeting.begin(), greeting.end());
    raw(bytes);
  }

  /// A frame with the right checksum; everything else is the fuzzer's.
  void frame(Input& input) {
    const auto kind = static_cast<Kind>(input.byte() % 10);
    const std::uint32_t id = input.byte() % 32 + (input.byte() == 255 ? 0xFFFF'FFE0 : 0);
    const std::size_t size = input.number<std::uint16_t>() % (10 * KiB);
    const auto start = input.bytes(4);
    Bytes payload(start.begin(), start.end());
    payload.resize(size);
    const auto header = encode_header(seed_, kind, id, payload);
    payload.insert(payload.begin(), header.begin(), header.end());
    raw(payload);
  }

  void open() {
    auto stream = mux_.open();
    if (stream) owned_.push_back(*stream);
  }

  template <class Use>
  void use(Input& input, Use with) {
    if (!owned_.empty()) with(owned_[input.byte() % owned_.size()]);
    settle();
  }

  void read(Input& input) {
    use(input, [&](auto& stream) {
      if (stream->read_done) return;
      ++callbacks_;
      mux_.read(*stream, asio::buffer(buffer_, input.number<std::uint16_t>() % buffer_.size()), done());
    });
  }
  void write(Input& input) {
    use(input, [&](auto& stream) {
      if (stream->write_done) return;
      ++callbacks_;
      mux_.write(stream, asio::buffer(buffer_, input.number<std::uint16_t>() % buffer_.size()), done());
    });
  }
  void close(Input& input) {
    use(input, [this](auto& stream) {
      const auto gone = stream;
      std::erase(owned_, gone);
      mux_.close(gone);
    });
  }
  Transport::Callback done() {
    return [this](boost::system::error_code, std::size_t) { --callbacks_; };
  }

  void send(std::size_t room) {
    std::size_t left = room;
    for (const iovec& piece : mux_.plan(std::max<std::size_t>(room, frame_bytes_max))) {
      const auto* data = static_cast<const std::byte*>(piece.iov_base);
      sent_.insert(sent_.end(), data, data + std::min(left, piece.iov_len));
      left -= std::min(left, piece.iov_len);
    }
    mux_.commit(room - left);
    settle();
    if (role_ == Role::host) check_sent();
  }

  /// What a host sent is a HELLO and then frames of its epoch, of streams that exist, within their windows.
  void check_sent() {
    if (!hello_seen_) {
      const std::size_t hello = silence_sent_bytes + greeting_bytes;
      if (sent_.size() < hello) return;
      require(HelloSeeker().feed(sent_).greeting.has_value(), "a host begins with a HELLO");
      sent_.erase(sent_.begin(), sent_.begin() + static_cast<std::ptrdiff_t>(hello));
      hello_seen_ = true;
    }
    while (true) {
      const auto parsed = parse_frame(epoch_seed(nonce), sent_);
      if (parsed.state == Parsed::State::incomplete) return;
      require(parsed.state == Parsed::State::frame, "what goes out is frames");
      require(parsed.frame.kind >= Kind::open && parsed.frame.kind <= Kind::credit, "of the known kinds");
      require(parsed.frame.stream != 0, "of a stream");
      sent_.erase(sent_.begin(), sent_.begin() + static_cast<std::ptrdiff_t>(parsed.frame.size()));
    }
  }

  void settle() {
    for (auto& event : mux_.take_completions()) event.done(event.failed, event.bytes);
    for (auto& stream : mux_.take_accepted()) owned_.push_back(std::move(stream));
    require(callbacks_ >= 0, "no operation completes twice");
    require(mux_.unread_bytes() <= limits.unread_bytes_max, "unread bytes have a limit");
    require(mux_.streams() <= limits.streams_max, "streams have a limit");
    require(owned_.size() <= limits.streams_max, "those of former epochs count, too");
  }

  const Role role_;
  Mux mux_;
  Bytes buffer_, pending_, sent_;
  std::vector<StreamRef> owned_;
  std::uint64_t seed_ = epoch_seed(nonce);
  int callbacks_ = 0;
  bool broken_ = false, hello_seen_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Hostile hostile(input.byte() % 2 ? Role::host : Role::guest);
  while (!input.empty()) hostile.step(input);
  return 0;
}
