#include "daemon/instance.h"

#include <unistd.h>

#include <thread>

#include "base/unix_socket.h"
#include "settings/daemon_record.h"

namespace sprite::daemon {
namespace {

/// What memory_dir lies in must be there: making it ourselves would put the memory of sprites on a disk unasked.
Result<> make_memory_directory(const Path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path.parent_path(), ignored))
    return Error{Error::Kind::invalid,
                 "there is no directory '" + path.parent_path().string() + "' for the memory of sprites",
                 "name one, best on a tmpfs: `sprite config set memory_dir PATH`",
                 {}};
  return make_private_directory(path);
}

bool answers(const Path& path) { return connect_unix(path, Blocking::yes).has_value(); }

/// The lock; nothing if a daemon that answers at `socket` has it, or one that neither answers nor ends in time.
Result<std::optional<FileLock>> take_lock(const Path& path, const Path& socket,
                                          std::chrono::steady_clock::time_point deadline) {
  for (;;) {
    TRY_LET(auto lock, FileLock::try_take(path));
    if (lock || answers(socket) || std::chrono::steady_clock::now() > deadline) return lock;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

/// The lock of the data directory; its file says which runtime directory the daemon that has it serves.
Result<FileLock> take_data_lock(const settings::Settings& settings, std::chrono::steady_clock::time_point deadline) {
  const Path path = settings.data_dir / "daemon.lock";
  const auto text = read_file(path);
  const Path other = text ? Path(*text) : Path();
  TRY_LET(auto lock, take_lock(path, settings::daemon_socket(other), deadline));
  if (!lock)
    return Error{Error::Kind::busy,
                 "a daemon that serves '" + other.string() + "' uses '" + settings.data_dir.string() + "' already",
                 "use that one: `export XDG_RUNTIME_DIR=" + other.parent_path().string() +
                     "`; or end it: `sprite daemon stop` there",
                 {}};
  if (::ftruncate(lock->fd(), 0) != 0) return system_error("cannot write '" + path.string() + "'");
  TRY(write_all(lock->fd(), as_bytes(settings.runtime_dir.string())));
  return *std::move(lock);
}

}  // namespace

Result<Instance> claim(const settings::Settings& settings, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  TRY(make_private_directory(settings.runtime_dir));
  TRY_LET(auto lock, take_lock(settings::daemon_lock(settings.runtime_dir),
                               settings::daemon_socket(settings.runtime_dir), deadline));
  if (!lock) {
    const auto record = settings::read_daemon_record(settings.runtime_dir);
    const std::string who = record && *record ? " (process " + std::to_string((*record)->pid) + ")" : "";
    return Error{Error::Kind::busy, "a daemon runs already" + who, "sprite daemon status", {}};
  }
  TRY(make_directories(settings.data_dir));
  TRY_LET(FileLock data, take_data_lock(settings, deadline));
  TRY(make_directories(settings.state_dir));
  TRY(make_memory_directory(settings.memory_dir));
  return Instance{*std::move(lock), std::move(data)};
}

}  // namespace sprite::daemon
