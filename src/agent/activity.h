#pragma once
/// Activity: when the machine was last in use from inside, and by what. The daemon, which knows of connections, asks
/// for it before it puts a sprite to sleep.
///
/// Every two seconds the container's control group is looked at: programs that took a twentieth of a processor or moved
/// a good deal to or from the disk since are at work. Two small files are read for it.
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/sessions.h"
#include "agent/tasks.h"
#include "base/file.h"
#include "wire/types.h"

namespace sprite::agent {

/// What programs have used since their control group was made.
struct Consumption {
  std::uint64_t processor_us = 0, disk_bytes = 0;
};
/// From the texts of cpu.stat and io.stat; what is not there counts as nothing.
Consumption parse_consumption(const std::string& cpu_stat, const std::string& io_stat);

/// What programs were at between two looks; empty: at nothing much.
std::string work_between(const Consumption& before, const Consumption& after, std::chrono::microseconds time);

class ActivityMeter {
 public:
  /// `group` is the control group of the programs.
  ActivityMeter(asio::any_io_executor executor, const Sessions& sessions, Tasks& tasks, Path group);
  /// Begins to look now and then. Call once.
  void start();
  /// When it was last in use.
  wire::Activity look();

 private:
  void sample();

  asio::steady_timer timer_;
  const Sessions& sessions_;
  Tasks& tasks_;
  Path group_;
  std::optional<Consumption> consumption_;
  std::chrono::steady_clock::time_point sampled_, worked_;
  std::string work_;  ///< That was at `worked_`.
};

}  // namespace sprite::agent
