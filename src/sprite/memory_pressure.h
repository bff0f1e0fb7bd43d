#pragma once
/// Memory that runs short while machines run: what there is, what is to be done about it, and the kernel's word for it.
///
/// What a machine may still take was free when it started (vm/machine_files.h). It is not for ever: other programs fill
/// the same tmpfs, or the host's memory. Where what machines may still take is not there any more and little is free,
/// others make room; where next to nothing is, those that grow stand still, since the next page that finds no room
/// would kill its QEMU.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/file.h"

namespace sprite {

/// What memory files in `memory_dir` may still get: of its file system, and of the host where that is a tmpfs.
struct FreeMemory {
  std::uint64_t directory_bytes = 0;
  std::uint64_t host_bytes = 0;  ///< What the kernel thinks that programs can have, swap included.
  bool in_memory = true;         ///< memory_dir is on a tmpfs.

  std::uint64_t for_machines() const;
};
/// Takes some microseconds.
FreeMemory free_memory(const Path& memory_dir);

/// near: others are to make room. acute: what grows is to stand still.
enum class Shortage { none, near, acute };
/// `growth_bytes`: what machines that run may still take; `reserve_bytes`: as in the settings.
Shortage shortage(const FreeMemory& free, std::uint64_t growth_bytes, std::uint64_t reserve_bytes);
/// Whether a machine that stands still and may take `own_bytes` more can go on beside those that run.
bool may_go_on(const FreeMemory& free, std::uint64_t growth_bytes, std::uint64_t own_bytes,
               std::uint64_t reserve_bytes);
/// "memory is short: '/dev/shm/x' has 120 MiB left".
std::string describe_shortage(const FreeMemory& free, const Path& memory_dir);

/// When to look again: before anything could have taken what is free.
std::chrono::milliseconds next_look(const FreeMemory& free);

/// Whether programs may be waiting for lack of memory: less than a quarter of what `meminfo` (the text of
/// /proc/meminfo) says there is can be had without swapping. The kernel counts waits for other reasons, too, such as
/// compaction.
bool is_scarce(const std::string& meminfo);

/// Tells when the host's programs wait for memory (PSI), more than 150 ms in 2 s, while it is scarce or a control group
/// limits ours. Silent where the kernel has no such thing.
class StallWatch {
 public:
  /// `stalled` is called on the executor.
  StallWatch(const boost::asio::any_io_executor& executor, std::function<void()> stalled);
  StallWatch(const StallWatch&) = delete;
  ~StallWatch();

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;
  static void wait(const std::shared_ptr<Descriptor>& trigger, std::function<void()> stalled);
  std::shared_ptr<Descriptor> trigger_;  ///< Null: the kernel has none.
};

}  // namespace sprite
