#pragma once
/// Makes the real Sprites: the one place where store, nbd, vm and channel meet.
#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/result.h"
#include "base/sleep_time.h"
#include "sprite/sprites.h"
#include "vm/accelerator.h"

namespace sprite {

/// From the settings; all paths absolute.
struct SpritesOptions {
  Path data_dir, runtime_dir, state_dir, memory_dir;
  std::string default_image = "base";
  std::uint64_t default_memory_bytes = 0;
  unsigned default_vcpus = 0;
  std::uint64_t template_budget_bytes = 0;  ///< 0: no templates
  unsigned blanks_max = 0;
  std::uint64_t memory_reserve_bytes = 0;       ///< what stays free of memory_dir, and of the host's memory
  SleepTime sleep_after{}, sleep_deep_after{};  ///< of sprites that have no times of their own
  SleepTime
      sleep_timer_floor{};     ///< how soon after a sprite fell asleep it wakes for a timer of its own at the earliest
  std::string hypervisor_uri;  ///< "" = libvirt embedded in this process
  vm::AcceleratorChoice accelerator = vm::AcceleratorChoice::automatic;
  std::string url;  ///< of this daemon's loopback listener; a sprite's URL is made from it
};

/// Opens the disks and machines of every sprite found, those left running by an earlier daemon included. libvirt is
/// opened behind, so that this returns at once; the first start waits for it. Calls run on `executor` (one thread).
/// A sprite whose folder cannot be read is left alone and logged: the others must not suffer. Errors: denied
/// (directories), no_space, unavailable.
Result<std::shared_ptr<Sprites>> open_sprites(asio::any_io_executor executor, const SpritesOptions& options);

}  // namespace sprite
