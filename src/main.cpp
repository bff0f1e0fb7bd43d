// One executable: the command line program, and with `sprite daemon run` the daemon.
#include <cstdlib>

#include "base/failpoint.h"
#include "cli/run.h"
#include "daemon/daemon.h"

int main(int argc, char** argv) {
  const auto run_daemon = [](const sprite::settings::Settings& settings,
                             const sprite::cli::DaemonStart& start) -> sprite::Result<> {
    // For tests: the daemon dies there as by `kill -9`, or stands still.
    if (const char* const how = std::getenv("SPRITE_FAILPOINT")) TRY(sprite::arm_failpoint(how));
    return sprite::daemon::run(settings, {start.detached, start.report_fd});
  };
  return sprite::cli::run({argv + 1, argv + argc}, run_daemon);
}
