#pragma once
/// Reading and writing descriptors that may block (terminals, pipes, files) from coroutines, each on a thread of its
/// own. Making them non-blocking instead would change them for every process that shares them, the user's shell
/// included.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sprite::cli {

namespace asio = boost::asio;

/// Reads a descriptor piece by piece, only as asked: nothing is read ahead.
class BlockingInput {
 public:
  /// `fd` is not owned. Errors: unavailable.
  static Result<std::unique_ptr<BlockingInput>> open(int fd);
  /// Ends a read under way.
  ~BlockingInput();
  /// The next bytes, at most 32 KiB; empty at the end. Errors: unavailable.
  asio::awaitable<Result<std::string>> read();

 private:
  BlockingInput(int fd, Fd wake) : fd_(fd), wake_(std::move(wake)) {}
  Result<std::string> read_now() const;

  int fd_;
  Fd wake_;  ///< Readable when a read under way shall end.
  asio::thread_pool pool_{1};
};

/// Writes to descriptors; completes when everything was written.
class BlockingOutput {
 public:
  ~BlockingOutput() { pool_.join(); }
  /// Errors: unavailable (closed by its reader), no_space.
  asio::awaitable<Result<>> write(int fd, std::string bytes);

 private:
  asio::thread_pool pool_{1};
};

}  // namespace sprite::cli
