#pragma once
/// A terminal handed over to a remote program: every key goes there, none is ours.
#include <cstdint>
#include <memory>

#include "base/result.h"

namespace sprite::cli {

struct WindowSize {
  std::uint16_t columns = 80, rows = 24;
};
/// The size of the terminal behind `fd`; 80 by 24 when it has none.
WindowSize window_size(int fd);

/// Raw mode while it lives. The terminal gets its former mode back when it is destroyed, and also when the process
/// exits or crashes before that. One at a time.
class RawTerminal {
 public:
  /// Errors: unavailable (`fd` is no terminal).
  static Result<std::unique_ptr<RawTerminal>> enter(int fd);
  ~RawTerminal();
  RawTerminal(RawTerminal&&) = delete;
  /// Raw mode again, after somebody else changed it: the shell does when we were stopped and continued.
  void again();

 private:
  explicit RawTerminal(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace sprite::cli
