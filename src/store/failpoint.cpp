#include "store/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

namespace sprite::store {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Failpoint::count)> names{
    "cut-prepared",     "cut-flushed",   "cut-committed",    "checkpoint-row", "restore-row",      "restore-switched",
    "fork-linked",      "fork-made",     "pack-written",     "pack-named",     "seal-packed",      "seal-mapped",
    "seal-committed",   "fold-copied",   "fold-committed",   "drop-committed", "delete-committed", "hidden-forgotten",
    "collect-removing", "collect-moved", "collect-exchanged"};

std::atomic<Failpoint> deadly = Failpoint::count;

}  // namespace

std::atomic<OnFailpoint> detail::failpoint_reached = nullptr;

std::string_view to_string(Failpoint point) { return names.at(static_cast<std::size_t>(point)); }

void on_failpoint(OnFailpoint reached) { detail::failpoint_reached = reached; }

Result<> die_at_failpoint(std::string_view name) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) {
    std::string known;
    for (const std::string_view each : names) known += (known.empty() ? "" : ", ") + std::string(each);
    return Error{Error::Kind::invalid, "no failpoint is called '" + std::string(name) + "'", "use one of " + known, {}};
  }
  deadly = static_cast<Failpoint>(found - names.begin());
  on_failpoint([](Failpoint point) {
    if (point == deadly) ::kill(::getpid(), SIGKILL);
  });
  return {};
}

}  // namespace sprite::store
