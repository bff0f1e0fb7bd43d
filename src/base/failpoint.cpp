#include "base/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace sprite {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Failpoint::count)> names{
    "cut-prepared",      "cut-flushed",      "cut-committed",    "checkpoint-row",   "restore-row",
    "restore-switched",  "fork-linked",      "fork-made",        "pack-written",     "pack-named",
    "seal-packed",       "seal-mapped",      "seal-committed",   "fold-copied",      "fold-committed",
    "drop-committed",    "delete-committed", "hidden-forgotten", "collect-removing", "collect-moved",
    "collect-exchanged", "create-taken",     "create-named",     "begin-bound",      "begin-loaded",
    "begin-exchanged",   "begin-told",       "begin-shown",      "sleep-held",       "sleep-stopped",
    "sleep-cut",         "sleep-saved",      "sleep-copied",     "sleep-published",  "vm-ended",
    "wake-filled",       "wake-loaded",      "wake-used-up",     "wake-running",     "wake-greeted",
    "memory-saved",      "memory-copied",    "memory-cut",       "memory-finished",  "memory-published",
    "restore-disk",      "restore-linked",   "restore-asleep"};

constexpr std::string_view stopping = ":stop";

std::atomic<Failpoint> armed = Failpoint::count;

void die_there(Failpoint point) {
  if (point == armed) ::kill(::getpid(), SIGKILL);
}

void stop_there(Failpoint point) {
  if (armed.compare_exchange_strong(point, Failpoint::count)) ::kill(::getpid(), SIGSTOP);
}

}  // namespace

std::atomic<OnFailpoint> detail::failpoint_reached = nullptr;

std::string_view to_string(Failpoint point) { return names.at(static_cast<std::size_t>(point)); }

void on_failpoint(OnFailpoint reached) { detail::failpoint_reached = reached; }

Result<> arm_failpoint(std::string_view how) {
  const bool stops = how.ends_with(stopping);
  const std::string_view name = stops ? how.substr(0, how.size() - stopping.size()) : how;
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) {
    std::string known;
    for (const std::string_view each : names) known += (known.empty() ? "" : ", ") + std::string(each);
    return Error{Error::Kind::invalid, "no failpoint is called '" + std::string(name) + "'", "use one of " + known, {}};
  }
  armed = static_cast<Failpoint>(found - names.begin());
  on_failpoint(stops ? stop_there : die_there);
  return {};
}

}  // namespace sprite
