#include "base/file.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "support/temporary_directory.h"

using namespace sprite;

TEST_CASE("an atomic write replaces the whole file and leaves nothing else behind") {
  const test::TemporaryDirectory folder;
  REQUIRE(write_file_atomically(folder / "a", "old"));
  REQUIRE(write_file_atomically(folder / "a", "new"));
  CHECK(*read_file(folder / "a") == "new");
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("a missing file is not_found and says its name") {
  const auto text = read_file("/nonexistent/file");
  REQUIRE_FALSE(text);
  CHECK(text.error().kind == Error::Kind::not_found);
  CHECK(text.error().what.find("/nonexistent/file") != std::string::npos);
}

TEST_CASE("only a regular file is opened as one, and nobody is waited for") {
  const test::TemporaryDirectory folder;
  REQUIRE(write_file_atomically(folder / "file", "text"));
  std::filesystem::create_symlink("file", folder / "link");
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  REQUIRE(::mknod((folder / "socket").c_str(), S_IFSOCK | 0600, 0) == 0);
  CHECK(open_regular_file(folder / "file"));
  for (const Path& other : {folder / "link", folder / "fifo", folder / "socket", folder.path()}) {
    CAPTURE(other);
    const auto refused = open_regular_file(other);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().kind == Error::Kind::invalid);
    CHECK(refused.error().what.find(other.string()) != std::string::npos);
  }
  CHECK(open_regular_file(folder / "none").error().kind == Error::Kind::not_found);
}

TEST_CASE("a directory that others may enter is not private") {
  const test::TemporaryDirectory folder;
  REQUIRE(make_private_directory(folder / "a/b"));
  ::chmod((folder / "a/b").c_str(), 0755);
  const auto made = make_private_directory(folder / "a/b");
  REQUIRE_FALSE(made);
  CHECK(made.error().kind == Error::Kind::denied);
}

TEST_CASE("a lock is held once") {
  const test::TemporaryDirectory folder;
  auto first = FileLock::try_take(folder / "lock");
  REQUIRE(first);
  REQUIRE(first->has_value());
  auto second = FileLock::try_take(folder / "lock");
  REQUIRE(second);
  CHECK_FALSE(second->has_value());
}

TEST_CASE("a process's output and exit status come back") {
  const auto ran = run_process({"sh", "-c", "echo out; echo err >&2; exit 3"});
  REQUIRE(ran);
  CHECK(ran->out == "out\n");
  CHECK(ran->err == "err\n");
  CHECK(ran->exit_status == 3);
  CHECK(run_process({"no-such-program"}).error().kind == Error::Kind::not_found);
  CHECK(run_process({"sleep", "10"}, std::chrono::milliseconds(100)).error().kind == Error::Kind::unavailable);
}

TEST_CASE("a detached process outlives the call and writes its log") {
  const test::TemporaryDirectory folder;
  const auto pid = start_detached({"sh", "-c", "echo hello; exec sleep 30"}, folder / "log");
  REQUIRE(pid);
  CHECK(::kill(*pid, 0) == 0);
  for (int i = 0; i < 100 && *read_file(folder / "log") != "hello\n"; ++i) ::usleep(20000);
  CHECK(*read_file(folder / "log") == "hello\n");
  ::kill(*pid, SIGKILL);
}
