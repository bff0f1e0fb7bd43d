#include "base/unix_socket.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "support/temporary_directory.h"

using namespace sprite;

TEST_CASE("a Unix socket is ours alone, taken over when stale, refused when alive") {
  test::TemporaryDirectory directory;
  const Path path = directory / "daemon.sock";
  {
    auto first = listen_unix(path);
    REQUIRE(first);
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    auto second = listen_unix(path);
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == Error::Kind::busy);
  }
  CHECK(listen_unix(path));  // the first is gone, its file was left
}

TEST_CASE("a file that is not a socket is left alone; too long a path is an error") {
  test::TemporaryDirectory directory;
  REQUIRE(write_file_atomically(directory / "precious", "text"));
  auto refused = listen_unix(directory / "precious");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::exists);
  CHECK(*read_file(directory / "precious") == "text");
  CHECK(listen_unix(directory / std::string(120, 'x')).error().kind == Error::Kind::invalid);
}

TEST_CASE("connecting says whether nobody listens or nothing is there") {
  test::TemporaryDirectory directory;
  const Path path = directory / "s";
  CHECK(connect_unix(path, Blocking::no).error().kind == Error::Kind::not_found);
  {
    const auto listening = listen_unix(path);
    REQUIRE(listening);
    CHECK(connect_unix(path, Blocking::no));
    CHECK(connect_unix(path, Blocking::yes));
  }
  CHECK(connect_unix(path, Blocking::yes).error().kind == Error::Kind::unavailable);
  CHECK(connect_unix(directory / std::string(120, 'x'), Blocking::no).error().kind == Error::Kind::invalid);
}
