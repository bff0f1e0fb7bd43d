#include "base/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace sprite {
namespace {

std::string quoted(const Path& path) { return "'" + path.string() + "'"; }

Result<Fd> make_socket(Blocking blocking) {
  Fd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (blocking == Blocking::no ? SOCK_NONBLOCK : 0), 0));
  if (!made) return system_error("cannot make a socket");
  return made;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

/// Makes room for a socket at `path`. Errors: busy (somebody answers), exists (not a socket).
Result<> remove_stale_socket(const Path& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISSOCK(status.st_mode)) return Error{Error::Kind::exists, quoted(path) + " is there and is not a socket"};
  TRY_LET(const Fd probe, make_socket(Blocking::no));
  if (::connect(probe.get(), generic(address), sizeof address) == 0 || errno == EAGAIN)
    return Error{Error::Kind::busy, "another process answers on " + quoted(path)};
  if (errno != ECONNREFUSED) return system_error("cannot tell who is at " + quoted(path));
  if (::unlink(path.c_str()) != 0) return system_error("cannot remove the stale socket " + quoted(path));
  return {};
}

}  // namespace

Result<sockaddr_un> unix_address(const Path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.size() >= sizeof address.sun_path)
    return Error{Error::Kind::invalid, "the socket path " + quoted(path) + " is too long",
                 "set XDG_RUNTIME_DIR to a shorter directory"};
  text.copy(address.sun_path, text.size());
  return address;
}

Result<Fd> connect_unix(const Path& path, Blocking blocking) {
  TRY_LET(const sockaddr_un address, unix_address(path));
  TRY_LET(Fd socket, make_socket(blocking));
  if (::connect(socket.get(), generic(address), sizeof address) != 0)
    return system_error("cannot connect to " + quoted(path));
  return socket;
}

Result<Fd> listen_unix(const Path& path) {
  TRY_LET(const sockaddr_un address, unix_address(path));
  TRY(remove_stale_socket(path, address));
  TRY_LET(Fd socket, make_socket(Blocking::no));
  // The mode that bind() gives the file: nobody else can connect, not even for a moment, and no umask is touched.
  if (::fchmod(socket.get(), 0600) != 0) return system_error("cannot make a socket private");
  if (::bind(socket.get(), generic(address), sizeof address) != 0 || ::listen(socket.get(), SOMAXCONN) != 0)
    return system_error("cannot listen on " + quoted(path));
  return socket;
}

}  // namespace sprite
