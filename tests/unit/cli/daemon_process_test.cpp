#include "cli/daemon_process.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/unix_socket.h"
#include "settings/daemon_record.h"
#include "support/temporary_directory.h"

using namespace sprite;
using namespace sprite::cli;

namespace {

settings::Settings settings_in(const test::TemporaryDirectory& directory) {
  settings::Settings settings;
  settings.runtime_dir = directory.path();
  settings.state_dir = directory.path();
  return settings;
}

}  // namespace

TEST_CASE("a daemon is found by its socket, and a stale socket is no daemon") {
  const test::TemporaryDirectory runtime;
  const settings::Settings settings = settings_in(runtime);
  CHECK_FALSE(find_daemon(settings)->has_value());
  {
    const auto socket = listen_unix(settings::daemon_socket(runtime.path()));
    REQUIRE(socket);
    CHECK(find_daemon(settings)->value() == ::getpid());
  }
  CHECK(std::filesystem::exists(settings::daemon_socket(runtime.path())));
  CHECK_FALSE(find_daemon(settings)->has_value());
  CHECK_FALSE(*stop_daemon(settings));
}

TEST_CASE("a runtime directory that others may enter is refused") {
  const test::TemporaryDirectory runtime;
  ::chmod(runtime.path().c_str(), 0777);
  const auto found = find_daemon(settings_in(runtime));
  REQUIRE_FALSE(found);
  CHECK(found.error().kind == Error::Kind::denied);
}

TEST_CASE("a runtime directory or socket of another user is refused with a way out" * doctest::skip(::geteuid() != 0)) {
  const test::TemporaryDirectory runtime;
  REQUIRE(::chown(runtime.path().c_str(), 65534, 65534) == 0);
  const auto found = find_daemon(settings_in(runtime));
  REQUIRE_FALSE(found);
  CHECK(found.error().kind == Error::Kind::denied);
  CHECK(found.error().what.find("belongs to another user") != std::string::npos);
  CHECK(found.error().hint.find("runtime_dir") != std::string::npos);
  CHECK(ensure_daemon(settings_in(runtime)).error().kind == Error::Kind::denied);
}

TEST_CASE("the socket of another user is refused" * doctest::skip(::geteuid() != 0)) {
  const test::TemporaryDirectory runtime;
  const settings::Settings settings = settings_in(runtime);
  Pipe ready = *make_pipe();
  const pid_t squatter = ::fork();
  if (squatter == 0) {  // what it listens on counts as its user's
    const Path path = settings::daemon_socket(runtime.path());
    ::chmod(runtime.path().c_str(), 0777);
    if (::setuid(65534) != 0) ::_exit(1);
    const auto socket = listen_unix(path);
    (void)!::write(ready.write_end.get(), "r", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  REQUIRE(::read(ready.read_end.get(), &byte, 1) == 1);
  ::chmod(runtime.path().c_str(), 0700);
  const auto found = find_daemon(settings);
  ::kill(squatter, SIGKILL);
  ::waitpid(squatter, nullptr, 0);
  REQUIRE_FALSE(found);
  CHECK(found.error().kind == Error::Kind::denied);
  CHECK(found.error().what.find("belongs to another user") != std::string::npos);
}
