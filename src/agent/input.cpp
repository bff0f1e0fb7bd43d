#include "agent/input.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cerrno>

namespace sprite::agent {
namespace {

constexpr std::size_t queued_bytes_max = 256 * 1024;

}  // namespace

Input::Input(asio::any_io_executor executor, Fd fd) : descriptor_(executor), changed_(executor) {
  (void)::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  descriptor_.assign(fd.release());
}

void Input::run() {
  asio::co_spawn(
      descriptor_.get_executor(), [self = shared_from_this()] { return self->write_queued(); }, asio::detached);
}

asio::awaitable<void> Input::push(std::string bytes) {
  const auto self = shared_from_this();
  while (bytes_ > queued_bytes_max && !closed_) co_await changed_.wait();
  if (closed_ || finished_ || bytes.empty()) co_return;
  bytes_ += bytes.size();
  queue_.push_back(std::move(bytes));
  changed_.notify_all();
}

void Input::finish() {
  finished_ = true;
  changed_.notify_all();
}

void Input::close() {
  closed_ = true;
  queue_.clear();
  bytes_ = 0;
  boost::system::error_code ignored;
  descriptor_.close(ignored);
  changed_.notify_all();
}

asio::awaitable<void> Input::write_queued() {
  while (!closed_) {
    if (queue_.empty()) {
      if (finished_) break;
      co_await changed_.wait();
      continue;
    }
    const std::string bytes = std::move(queue_.front());
    queue_.pop_front();
    if (!co_await write_whole(bytes)) break;
    bytes_ -= std::min(bytes_, bytes.size());
    changed_.notify_all();
  }
  if (!closed_) close();
}

asio::awaitable<bool> Input::write_whole(const std::string& bytes) {
  std::size_t written = 0;
  while (!closed_ && written < bytes.size()) {
    const ssize_t put = ::write(descriptor_.native_handle(), bytes.data() + written, bytes.size() - written);
    if (put >= 0) {
      written += static_cast<std::size_t>(put);
    } else if (errno == EAGAIN) {
      (void)co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_write,
                                            asio::as_tuple(asio::use_awaitable));
    } else if (errno != EINTR) {
      co_return false;  // the program closed its end
    }
  }
  co_return !closed_;
}

}  // namespace sprite::agent
