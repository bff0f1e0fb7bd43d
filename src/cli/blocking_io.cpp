#include "cli/blocking_io.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>

namespace sprite::cli {

Result<std::unique_ptr<BlockingInput>> BlockingInput::open(int fd) {
  Fd wake(::eventfd(0, EFD_CLOEXEC));
  if (!wake) return system_error("cannot make an event");
  return std::unique_ptr<BlockingInput>(new BlockingInput(fd, std::move(wake)));
}

BlockingInput::~BlockingInput() {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  pool_.join();
}

Result<std::string> BlockingInput::read_now() const {
  std::array<pollfd, 2> polled{pollfd{fd_, POLLIN, 0}, pollfd{wake_.get(), POLLIN, 0}};
  std::string bytes(32 * KiB, '\0');
  for (;;) {
    if (::poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) return system_error("cannot wait for input");
    if (polled[1].revents != 0) return std::string();
    if (polled[0].revents == 0) continue;
    const ssize_t got = ::read(fd_, bytes.data(), bytes.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0 && errno == EIO) return std::string();  // the terminal hung up
    if (got < 0) return system_error("cannot read the input");
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
  }
}

asio::awaitable<Result<std::string>> BlockingInput::read() {
  const auto work = [this]() -> asio::awaitable<Result<std::string>> { co_return read_now(); };
  co_return co_await asio::co_spawn(pool_, work, asio::use_awaitable);
}

asio::awaitable<Result<>> BlockingOutput::write(int fd, std::string bytes) {
  const auto work = [fd, bytes = std::move(bytes)]() -> asio::awaitable<Result<>> {
    co_return write_all(fd, as_bytes(bytes));
  };
  co_return co_await asio::co_spawn(pool_, work, asio::use_awaitable);
}

}  // namespace sprite::cli
