#include "cli/shutdown_outlook.h"

#include <doctest/doctest.h>

using namespace sprite::cli;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a service that runs and is enabled is all that a shutdown needs") {
  const auto outlook = shutdown_outlook({.service_runs = true, .service_enabled = true, .has_systemd = true});
  CHECK(outlook.good);
  CHECK(outlook.mend.empty());
}

TEST_CASE("a service that is not enabled serves this shutdown only") {
  const auto outlook = shutdown_outlook({.service_runs = true, .may_delay = true, .has_systemd = true});
  CHECK_FALSE(outlook.good);
  CHECK(has(outlook.text, "waits until sprites are on the disk"));
  CHECK(outlook.mend == "systemctl --user enable sprite-daemon");
}

TEST_CASE("a service that does not run serves no shutdown, though it is enabled") {
  auto outlook = shutdown_outlook({.service_enabled = true, .has_systemd = true});
  CHECK_FALSE(outlook.good);
  CHECK(has(outlook.text, "ends programs"));
  CHECK(outlook.mend == "systemctl --user start sprite-daemon");
  outlook = shutdown_outlook({.service_enabled = true, .may_delay = true, .has_systemd = true});
  CHECK_FALSE(outlook.good);
  CHECK(has(outlook.text, "as logind allows"));
}

TEST_CASE("without a service a shutdown waits if logind lets us") {
  CHECK(shutdown_outlook({.may_delay = true, .has_systemd = true}).good);
  const auto refused = shutdown_outlook({.has_systemd = true});
  CHECK_FALSE(refused.good);
  CHECK(has(refused.mend, "enable --now"));
  const auto alone = shutdown_outlook({});
  CHECK_FALSE(alone.good);
  CHECK(has(alone.mend, "sprite sleep --all --deep --wait"));
}
