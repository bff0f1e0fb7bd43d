#include "daemon/instance.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "base/unix_socket.h"
#include "daemon/log_file.h"
#include "settings/daemon_record.h"
#include "support/temporary_directory.h"

using namespace sprite;
using namespace std::chrono_literals;

namespace {

settings::Settings settings_in(const test::TemporaryDirectory& directory) {
  settings::Settings settings;
  settings.runtime_dir = directory / "run";
  settings.state_dir = directory / "state";
  settings.data_dir = directory / "data";
  settings.memory_dir = directory / "memory";
  return settings;
}

}  // namespace

TEST_CASE("one process is the daemon; the next one learns which") {
  const test::TemporaryDirectory directory;
  const settings::Settings settings = settings_in(directory);
  {
    const auto lock = daemon::claim(settings);
    REQUIRE(lock);
    REQUIRE(settings::write_daemon_record(settings.runtime_dir, {4711, 1, "t", "v"}));
    const auto second = daemon::claim(settings, 0ms);
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == Error::Kind::busy);
    CHECK(second.error().what == "a daemon runs already (process 4711)");
  }
  CHECK(daemon::claim(settings));
}

TEST_CASE("a data directory has one daemon, whatever runtime directories there are") {
  const test::TemporaryDirectory directory;
  const settings::Settings settings = settings_in(directory);
  settings::Settings elsewhere = settings;
  elsewhere.runtime_dir = directory / "elsewhere" / "sprite";
  std::filesystem::create_directory(directory / "elsewhere");
  {
    const auto first = daemon::claim(settings);
    REQUIRE(first);
    const auto second = daemon::claim(elsewhere, 0ms);
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == Error::Kind::busy);
    CHECK(second.error().what.find((directory / "run").string()) != std::string::npos);
  }
  CHECK(daemon::claim(elsewhere));
}

TEST_CASE("a daemon on its way down is awaited, one that answers is not") {
  const test::TemporaryDirectory directory;
  const settings::Settings settings = settings_in(directory);
  auto first = daemon::claim(settings);
  REQUIRE(first);
  SUBCASE("down") {
    std::thread ends([held = *std::move(first)]() mutable {
      std::this_thread::sleep_for(50ms);
      const daemon::Instance released = std::move(held);
    });
    CHECK(daemon::claim(settings, 10s));
    ends.join();
  }
  SUBCASE("up") {
    const auto socket = listen_unix(settings::daemon_socket(settings.runtime_dir));
    REQUIRE(socket);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(daemon::claim(settings, 10s).error().kind == Error::Kind::busy);
    CHECK(std::chrono::steady_clock::now() - begin < 5s);
  }
}

TEST_CASE("directories with sockets and memory are private") {
  const test::TemporaryDirectory directory;
  const settings::Settings settings = settings_in(directory);
  REQUIRE(daemon::claim(settings));
  for (const Path& path : {settings.runtime_dir, settings.memory_dir}) {
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0700);
    ::chmod(path.c_str(), 0755);
    CHECK(daemon::claim(settings).error().kind == Error::Kind::denied);
    ::chmod(path.c_str(), 0700);
  }
}

TEST_CASE("without a place for memory nothing is made there") {
  const test::TemporaryDirectory directory;
  settings::Settings settings = settings_in(directory);
  settings.memory_dir = directory / "no/such/place";
  const auto lock = daemon::claim(settings);
  REQUIRE_FALSE(lock);
  CHECK(lock.error().what.find("no directory '" + (directory / "no/such").string() + "'") != std::string::npos);
  CHECK(lock.error().hint.find("memory_dir") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(directory / "no"));
}

TEST_CASE("the log file is begun anew at its limit, and the last one is kept") {
  const test::TemporaryDirectory directory;
  const Path path = directory / "state/daemon.log";
  const pid_t child = ::fork();  // it takes standard error over
  if (child == 0) {
    const auto log = daemon::LogFile::open(path, 100);
    if (!log) ::_exit(1);
    for (int i = 0; i < 60; ++i) (*log)->write("line " + std::to_string(100 + i) + "\n");
    (void)!::write(STDERR_FILENO, "a library's\n", 12);
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  const std::string now = *read_file(path), before = *read_file(path.string() + ".1");
  CHECK(now.size() <= 112);
  CHECK(before.size() <= 112);
  CHECK(now.ends_with("a library's\n"));
  const std::string both = before + now;
  CHECK(both.find("line 159\n") != std::string::npos);
  CHECK(both.find("line 100\n") == std::string::npos);
}
