#pragma once
/// A machine's state on its way between a file and QEMU, which reads and writes it over a Unix socket only.
#include "base/file.h"

namespace sprite::vm {

/// A listening socket that QEMU sends a state to; it disappears with this.
class StateSocket {
 public:
  /// Errors: invalid (the path is too long), unavailable.
  static Result<StateSocket> listen(const Path& path);
  ~StateSocket();
  StateSocket(StateSocket&&) noexcept = default;
  StateSocket& operator=(StateSocket&&) = delete;

  /// Waits for QEMU and writes what it sends, to its end, to `file`. Errors: no_space, unavailable (QEMU sends nothing
  /// for 10 s, or does not end).
  Result<> receive(const Fd& file);

 private:
  StateSocket(Fd listening, Path path) : listening_(std::move(listening)), path_(std::move(path)) {}
  Fd listening_;
  Path path_;
};

/// Sends the file `from` to the QEMU that listens at `path`. Errors: as system_error; unavailable (it does not read).
Result<> send_state(const Path& from, const Path& path);

}  // namespace sprite::vm
