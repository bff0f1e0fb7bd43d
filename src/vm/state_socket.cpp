#include "vm/state_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "base/unix_socket.h"

namespace sprite::vm {
namespace {

constexpr std::chrono::milliseconds silence_max{10'000};
constexpr std::uint64_t state_bytes_max = 256 * MiB;  // a usual one has less than 1 MB

Result<> await(int fd, short events) {
  pollfd waiting{fd, events, 0};
  const int ready = ::poll(&waiting, 1, static_cast<int>(silence_max.count()));
  if (ready > 0) return {};
  if (ready < 0) return system_error("cannot wait for QEMU");
  return Error{Error::Kind::unavailable, "QEMU did nothing for 10 s", {}, {}};
}

}  // namespace

Result<StateSocket> StateSocket::listen(const Path& path) {
  TRY_LET(Fd fd, listen_unix(path));
  return StateSocket(std::move(fd), path);
}

StateSocket::~StateSocket() {
  if (listening_) ::unlink(path_.c_str());
}

Result<> StateSocket::receive(const Fd& file) {
  TRY(await(listening_.get(), POLLIN));
  const Fd sender(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!sender) return system_error("cannot accept QEMU's connection");
  Bytes buffer(256 * KiB);
  for (std::uint64_t total = 0; total <= state_bytes_max;) {
    TRY(await(sender.get(), POLLIN));
    const ssize_t got = ::read(sender.get(), buffer.data(), buffer.size());
    if (got < 0) return system_error("cannot read what QEMU sends");
    if (got == 0) return {};
    TRY(write_all(file.get(), ByteView(buffer).first(static_cast<std::size_t>(got))));
    total += static_cast<std::uint64_t>(got);
  }
  return Error{Error::Kind::unavailable, "QEMU's state does not end", {}, {}};
}

Result<> send_state(const Path& from, const Path& path) {
  TRY_LET(const Fd file, open_file(from, O_RDONLY));
  TRY_LET(const Fd receiver, connect_unix(path, Blocking::yes));
  Bytes buffer(256 * KiB);
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0) return system_error("cannot read '" + from.string() + "'");
    ByteView rest = ByteView(buffer).first(static_cast<std::size_t>(got));
    if (rest.empty()) return {};
    while (!rest.empty()) {  // send(): a QEMU that gives up must not end us by a signal
      TRY(await(receiver.get(), POLLOUT));
      const ssize_t sent = ::send(receiver.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent < 0) return system_error("QEMU does not read its state");
      rest = rest.subspan(static_cast<std::size_t>(sent));
    }
  }
}

}  // namespace sprite::vm
