#include "daemon/instance.h"

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

/// The lock; nothing if a daemon that answers has it, or one that neither answers nor ends within `patience`.
Result<std::optional<FileLock>> take_lock(const settings::Settings& settings, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    TRY_LET(auto lock, FileLock::try_take(settings::daemon_lock(settings.runtime_dir)));
    if (lock || answers(settings::daemon_socket(settings.runtime_dir)) || std::chrono::steady_clock::now() > deadline)
      return lock;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

Result<FileLock> claim(const settings::Settings& settings, std::chrono::milliseconds patience) {
  TRY(make_private_directory(settings.runtime_dir));
  TRY_LET(auto lock, take_lock(settings, patience));
  if (!lock) {
    const auto record = settings::read_daemon_record(settings.runtime_dir);
    const std::string who = record && *record ? " (process " + std::to_string((*record)->pid) + ")" : "";
    return Error{Error::Kind::busy, "a daemon runs already" + who, "sprite daemon status", {}};
  }
  TRY(make_directories(settings.data_dir));
  TRY(make_directories(settings.state_dir));
  TRY(make_memory_directory(settings.memory_dir));
  return *std::move(lock);
}

}  // namespace sprite::daemon
