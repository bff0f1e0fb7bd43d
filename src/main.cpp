// One executable: the command line program, and with `sprite daemon run` the daemon.
#include "cli/run.h"

int main(int argc, char** argv) {
  const auto run_daemon = [](const sprite::settings::Settings&, const sprite::cli::DaemonStart&) -> sprite::Result<> {
    return sprite::Error{sprite::Error::Kind::unavailable, "this build has no daemon", "", {}};
  };
  return sprite::cli::run({argv + 1, argv + argc}, run_daemon);
}
