#include "channel/core.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>

namespace sprite::channel {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t input_bytes = 128 * KiB;   ///< Room for the longest frame, and few reads for many bytes.
constexpr std::size_t socket_batch = 128 * KiB;  ///< About what a socket takes at once.
constexpr std::size_t port_batch = frame_bytes_max;
constexpr int turns_max = 16;  ///< Reads or writes before others on the executor get their turn.
constexpr auto hello_interval = 200ms;

bool is_socket(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

Nonce random_nonce() {
  Nonce nonce{};
  std::ranges::copy(random_bytes(nonce.size()), nonce.begin());
  return nonce;
}

bool would_block(int error_number) { return error_number == EAGAIN || error_number == EWOULDBLOCK; }

Error transport_failed(int error_number) { return system_error("the channel's transport failed", error_number); }

/// One end of a stream, as its user holds it.
class ChannelStream final : public Transport {
 public:
  ChannelStream(std::shared_ptr<Core> core, StreamRef state) : core_(std::move(core)), state_(std::move(state)) {}
  ~ChannelStream() override { close(); }
  ChannelStream(ChannelStream&&) = delete;

  asio::any_io_executor executor() override { return core_->executor(); }
  void read_some(asio::mutable_buffer into, Callback done) override {
    core_->mux().read(*state_, into, std::move(done));
    core_->settle();
  }
  void write_some(asio::const_buffer from, Callback done) override {
    core_->mux().write(state_, from, std::move(done));
    core_->settle();
  }
  void shutdown_send() override {
    core_->mux().shutdown_send(state_);
    core_->settle();
  }
  void close() override {
    core_->mux().close(state_);
    core_->settle();
  }

 private:
  std::shared_ptr<Core> core_;
  StreamRef state_;
};

}  // namespace

/// A ready() under way; also when its coroutine is destroyed instead of resumed.
class Core::Waiter {
 public:
  Waiter(Core& core, std::chrono::milliseconds limit) : core_(core), timer_(core.executor_, limit) {
    core_.waiting_.insert(&timer_);
  }
  ~Waiter() { core_.waiting_.erase(&timer_); }
  Waiter(Waiter&&) = delete;
  bool expired() const { return timer_.expiry() <= asio::steady_timer::clock_type::now(); }
  asio::steady_timer& timer() { return timer_; }

 private:
  Core& core_;
  asio::steady_timer timer_;
};

Core::Core(asio::any_io_executor executor, Role role, const Link::Options& options, Link::Acceptor acceptor,
           Link::Closed closed)
    : executor_(executor),
      transport_(executor),
      hello_timer_(executor),
      role_(role),
      acceptor_(std::move(acceptor)),
      closed_(std::move(closed)),
      mux_(role, {options.streams_max, options.window_bytes, options.unread_bytes_max}, random_nonce()),
      input_(input_bytes) {}

void Core::start(Fd transport) {
  is_socket_ = is_socket(transport.get());
  boost::system::error_code failed;
  transport_.assign(transport.get(), failed);
  if (!failed) {
    (void)transport.release();
    transport_.native_non_blocking(true, failed);
  }
  if (failed) return fail(transport_failed(failed.value()));
  wait_readable();
  if (role_ == Role::host) repeat_hello();
}

asio::awaitable<Result<>> Core::ready(std::shared_ptr<Core> core, std::chrono::milliseconds limit) {
  Waiter waiter(*core, limit);
  while (!core->mux_.established()) {
    if (core->down_) co_return Error{Error::Kind::unavailable, "the channel is down"};
    if (waiter.expired())
      co_return Error{Error::Kind::unavailable, "the other end of the channel did not answer in time"};
    (void)co_await waiter.timer().async_wait(asio::as_tuple(asio::use_awaitable));
  }
  co_return Result<>{};
}

Result<Stream> Core::open() {
  TRY_LET(StreamRef state, mux_.open());
  settle();
  return Stream(std::make_unique<ChannelStream>(shared_from_this(), std::move(state)));
}

void Core::shut() {
  acceptor_ = nullptr;
  closed_ = nullptr;
  stop();
}

void Core::settle() {
  note_state();
  post_events();
  if (down_ || flush_posted_ || writable_awaited_ || !mux_.has_output()) return;
  flush_posted_ = true;
  asio::post(executor_, [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->flush();
  });
}

void Core::post_events() {
  if (!mux_.has_events()) return;
  for (auto& event : mux_.take_completions())
    asio::post(executor_, [event = std::move(event)] { event.done(event.failed, event.bytes); });
  for (auto& state : mux_.take_accepted()) {
    auto stream = std::make_unique<ChannelStream>(shared_from_this(), std::move(state));
    asio::post(executor_, [self = shared_from_this(), stream = std::move(stream)]() mutable {
      const auto acceptor = self->acceptor_;  // a copy: it may destroy the Link
      if (acceptor) acceptor(Stream(std::move(stream)));
    });
  }
}

/// Wakes those who wait for an epoch, when one began or none can begin any more.
void Core::note_state() {
  if (mux_.established() == was_established_ && !down_) return;
  was_established_ = mux_.established();
  for (auto* timer : waiting_) timer->cancel();
}

void Core::wait_readable() {
  transport_.async_wait(transport_.wait_read, [self = shared_from_this()](boost::system::error_code failed) {
    if (!failed) self->read_available();
  });
}

void Core::read_available() {
  for (int turn = 0; turn < turns_max; ++turn) {
    if (down_) return;
    const auto got = ::read(transport_.native_handle(), input_.data() + input_bytes_, input_.size() - input_bytes_);
    if (got == 0) {
      if (!look_again()) return;
      continue;
    }
    absent_ = false;
    if (got < 0 && would_block(errno)) return wait_readable();
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(transport_failed(errno));
    input_bytes_ += static_cast<std::size_t>(got);
    if (!take_input()) return;
  }
  asio::post(executor_, [self = shared_from_this()] { self->read_available(); });
}

/// Gives the Mux what was read. Says whether to go on reading.
bool Core::take_input() {
  const auto used = mux_.receive({input_.data(), input_bytes_});
  if (used) {
    std::memmove(input_.data(), input_.data() + *used, input_bytes_ - *used);
    input_bytes_ -= *used;
  } else if (role_ == Role::host) {
    fail(used.error());
    return false;
  } else {
    mux_.end_epoch();  // the next HELLO begins another
    input_bytes_ = 0;
  }
  settle();
  return true;
}

/// The transport has ended; but a guest's port only has no host for now, and is looked at once more when the watch has
/// begun. Says whether to read again.
bool Core::look_again() {
  if (is_socket_ || role_ == Role::host) {
    fail(Error{Error::Kind::unavailable, "the other end closed the channel's transport"});
    return false;
  }
  if (absent_) {
    watch_->wait([self = shared_from_this()] {
      self->absent_ = false;
      self->read_available();
    });
    return false;
  }
  return become_absent();
}

/// Says whether the port is being watched now.
bool Core::become_absent() {
  mux_.end_epoch();
  input_bytes_ = 0;
  settle();
  if (!watch_) {
    auto watch = PortWatch::open(executor_, transport_.native_handle());
    if (!watch) {
      fail(std::move(watch).error());
      return false;
    }
    watch_ = *std::move(watch);
  }
  watch_->forget();
  absent_ = true;
  return true;
}

void Core::flush() {
  for (int turn = 0; turn < turns_max; ++turn) {
    if (down_ || writable_awaited_) return;
    const auto pieces = mux_.plan(is_socket_ ? socket_batch : port_batch);
    if (pieces.empty()) return mux_.commit(0);
    const auto sent = send(pieces);
    const int error_number = errno;
    mux_.commit(sent > 0 ? static_cast<std::size_t>(sent) : 0);
    post_events();
    if (sent >= 0 || error_number == EINTR) continue;
    return would_block(error_number) ? wait_writable() : fail(transport_failed(error_number));
  }
  settle();
}

ssize_t Core::send(std::span<const iovec> pieces) {
  if (is_socket_) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    return ::sendmsg(transport_.native_handle(), &message, MSG_NOSIGNAL);
  }
  output_.clear();  // each write to a port costs a transfer to the host
  for (const iovec& piece : pieces) {
    const auto* data = static_cast<const std::byte*>(piece.iov_base);
    output_.insert(output_.end(), data, data + piece.iov_len);
  }
  return ::write(transport_.native_handle(), output_.data(), output_.size());
}

void Core::wait_writable() {
  writable_awaited_ = true;
  transport_.async_wait(transport_.wait_write, [self = shared_from_this()](boost::system::error_code failed) {
    self->writable_awaited_ = false;
    if (!failed) self->flush();
  });
}

/// Sends a HELLO now and then until it is acknowledged: the guest may not have booted yet.
void Core::repeat_hello() {
  if (down_ || mux_.established()) return;
  mux_.say_hello();
  settle();
  hello_timer_.expires_after(hello_interval);
  hello_timer_.async_wait([self = shared_from_this()](boost::system::error_code failed) {
    if (!failed) self->repeat_hello();
  });
}

void Core::fail(Error why) {
  if (down_) return;
  stop();
  if (!closed_) return;
  asio::post(executor_, [self = shared_from_this(), why = std::move(why)] {
    if (const auto closed = std::exchange(self->closed_, nullptr)) closed(why);
  });
}

void Core::stop() {
  if (std::exchange(down_, true)) return;
  mux_.end_epoch();
  boost::system::error_code ignored;
  transport_.close(ignored);
  watch_.reset();
  hello_timer_.cancel();
  settle();
}

}  // namespace sprite::channel
