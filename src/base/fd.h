#pragma once
/// Fd owns a file descriptor; whole-buffer reads and writes on one.
#include <cstdint>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"

namespace sprite {

/// An open file descriptor, closed when destroyed; or none (-1).
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) noexcept : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Gives the descriptor up without closing it.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  void reset(int fd = -1) noexcept;

 private:
  int fd_ = -1;
};

/// A pipe; both ends close-on-exec. Errors: unavailable (too many open files).
struct Pipe {
  Fd read_end, write_end;
};
Result<Pipe> make_pipe();

/// Fills `out` from the current position. Errors: unavailable (also when the file ends first).
Result<> read_exactly(int fd, MutableByteView out);
/// Writes all of `data` at the current position. Errors: no_space, unavailable.
Result<> write_all(int fd, ByteView data);
/// Fills `out` from `offset`; bytes past the end of the file read as zeros. Errors: unavailable.
Result<> pread_exactly(int fd, MutableByteView out, std::uint64_t offset);
/// Writes all of `data` at `offset`. Errors: no_space, unavailable.
Result<> pwrite_all(int fd, ByteView data, std::uint64_t offset);

}  // namespace sprite
