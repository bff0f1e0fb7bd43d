#include "sprite/memory_pressure.h"

#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"

namespace sprite {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t near_reserves = 4;              // below so many of them others make room
constexpr std::uint64_t fastest_bytes_per_s = 4 * GiB;  // that anybody can fill a tmpfs with
constexpr std::chrono::milliseconds soonest_look = 25ms, latest_look = 1s;
constexpr std::uint64_t plenty_of_all = 4;                        // one in so many bytes free is plenty
constexpr std::string_view stall_limits = "some 150000 2000000";  // microseconds; others may set whole 2 s only

/// The value of a line of /proc/meminfo; 0 if there is none.
std::uint64_t line_of(const std::string& text, std::string_view name) {
  const std::size_t at = text.find(name);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + name.size(), nullptr, 10) * KiB;
}

/// Whether a control group that this process is in has a limit of its own, of which /proc/meminfo does not know.
bool is_limited() {
  const auto groups = read_file("/proc/self/cgroup", 64 * KiB);
  const std::size_t at = groups ? groups->find("0::/") : std::string::npos;
  if (at == std::string::npos) return false;
  const Path all = "/sys/fs/cgroup";
  for (Path group = all / groups->substr(at + 4, groups->find('\n', at) - at - 4);; group = group.parent_path()) {
    for (const char* name : {"memory.max", "memory.high"})
      if (const auto limit = read_file(group / name, 64); limit && trim(*limit) != "max") return true;
    if (group == all || !group.has_relative_path()) return false;
  }
}

}  // namespace

std::uint64_t FreeMemory::for_machines() const {
  return in_memory ? std::min(directory_bytes, host_bytes) : directory_bytes;
}

FreeMemory free_memory(const Path& memory_dir) {
  FreeMemory free;
  struct statfs space {};
  if (::statfs(memory_dir.c_str(), &space) == 0) {
    free.directory_bytes = std::uint64_t{space.f_bavail} * static_cast<std::uint64_t>(space.f_bsize);
    free.in_memory = space.f_type == TMPFS_MAGIC;
  }
  if (const auto host = read_file("/proc/meminfo", 64 * KiB))
    free.host_bytes = line_of(*host, "MemAvailable:") + line_of(*host, "SwapFree:");
  return free;
}

Shortage shortage(const FreeMemory& free, std::uint64_t growth_bytes, std::uint64_t reserve_bytes) {
  const std::uint64_t left = free.for_machines();
  if (left < growth_bytes && left < reserve_bytes) return Shortage::acute;
  const bool host_is_full = free.in_memory && free.host_bytes < reserve_bytes;
  const bool promised_too_much = left < growth_bytes && left < near_reserves * reserve_bytes;
  return host_is_full || promised_too_much ? Shortage::near : Shortage::none;
}

/// Well above what is acute, so that it is not stopped again at once.
bool may_go_on(const FreeMemory& free, std::uint64_t growth_bytes, std::uint64_t own_bytes,
               std::uint64_t reserve_bytes) {
  const std::uint64_t left = free.for_machines();
  return left >= growth_bytes + own_bytes || left >= 2 * reserve_bytes;
}

std::string describe_shortage(const FreeMemory& free, const Path& memory_dir) {
  if (free.in_memory && free.host_bytes < free.directory_bytes)
    return "memory is short: the host has " + format_size(free.host_bytes) + " left";
  return "memory is short: '" + memory_dir.string() + "' has " + format_size(free.directory_bytes) + " left";
}

std::chrono::milliseconds next_look(const FreeMemory& free) {
  const std::chrono::milliseconds lasts{free.for_machines() / (fastest_bytes_per_s / 1000)};
  return std::clamp(lasts, soonest_look, latest_look);
}

bool is_scarce(const std::string& meminfo) {
  return line_of(meminfo, "MemAvailable:") < line_of(meminfo, "MemTotal:") / plenty_of_all;
}

StallWatch::StallWatch(const boost::asio::any_io_executor& executor, std::function<void()> stalled) {
  auto file = open_file("/proc/pressure/memory", O_RDWR | O_NONBLOCK);
  if (!file) return;
  const std::string limits(stall_limits);
  if (::write(file->get(), limits.c_str(), limits.size() + 1) < 0) return;  // older kernels: the administrator only
  boost::system::error_code failed;
  auto trigger = std::make_shared<Descriptor>(executor);
  trigger->assign(file->get(), failed);
  if (failed) return;
  (void)file->release();
  trigger_ = std::move(trigger);
  wait(trigger_, std::move(stalled));
}

StallWatch::~StallWatch() {
  boost::system::error_code ignored;
  if (trigger_) trigger_->close(ignored);
}

void StallWatch::wait(const std::shared_ptr<Descriptor>& trigger, std::function<void()> stalled) {
  auto happened = [weak = std::weak_ptr(trigger), stalled](boost::system::error_code failed) {
    const auto still = weak.lock();
    if (failed || !still) return;
    const auto host = read_file("/proc/meminfo", 64 * KiB);
    if (!host || is_scarce(*host) || is_limited()) stalled();
    wait(still, stalled);
  };
  trigger->async_wait(Descriptor::wait_error, std::move(happened));
}

}  // namespace sprite
