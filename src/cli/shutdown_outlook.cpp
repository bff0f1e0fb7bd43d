#include "cli/shutdown_outlook.h"

#include <filesystem>

#include "base/process.h"

namespace sprite::cli {
namespace {

bool succeeds(const std::vector<std::string>& command) {
  const auto finished = run_process(command, std::chrono::seconds(10));
  return finished && finished->exit_status == 0;
}

ShutdownOutlook without_service(const ShutdownFacts& facts) {
  if (facts.may_delay) return {true, "waits until sprites are on the disk, for as long as logind allows"};
  if (facts.has_systemd)
    return {false, "ends programs in sprites: logind does not let you hold it up",
            "systemctl --user enable --now sprite-daemon, or sudo apt-get install polkitd"};
  return {false, "ends programs in sprites: no systemd runs here that would tell us of it",
          "before it: sprite sleep --all --deep --wait"};
}

}  // namespace

ShutdownOutlook shutdown_outlook(const ShutdownFacts& facts) {
  constexpr auto as_service = "waits until sprites are on the disk: the daemon is your service";
  if (facts.service_runs && facts.service_enabled) return {true, as_service};
  if (facts.service_runs)
    return {false, std::string(as_service) + ", but not from your next login on",
            "systemctl --user enable sprite-daemon"};
  if (!facts.service_enabled) return without_service(facts);
  const std::string text = facts.may_delay ? "waits for as long as logind allows" : "ends programs in sprites";
  return {false, text + ": your service is enabled, but does not run", "systemctl --user start sprite-daemon"};
}

ShutdownFacts shutdown_facts() {
  ShutdownFacts facts;
  facts.service_runs = succeeds({"systemctl", "--user", "--quiet", "is-active", "sprite-daemon"});
  facts.service_enabled = succeeds({"systemctl", "--user", "--quiet", "is-enabled", "sprite-daemon"});
  facts.may_delay =
      succeeds({"systemd-inhibit", "--what=shutdown", "--mode=delay", "--who=sprite", "--why=doctor", "true"});
  std::error_code ignored;
  facts.has_systemd = std::filesystem::exists("/run/systemd/system", ignored);
  return facts;
}

}  // namespace sprite::cli
