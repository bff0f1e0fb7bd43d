// One executable: the command line program, and with `sprite daemon run` the daemon.
#include "cli/run.h"
#include "daemon/daemon.h"

int main(int argc, char** argv) {
  const auto run_daemon = [](const sprite::settings::Settings& settings, const sprite::cli::DaemonStart& start) {
    return sprite::daemon::run(settings, {start.detached, start.report_fd});
  };
  return sprite::cli::run({argv + 1, argv + argc}, run_daemon);
}
