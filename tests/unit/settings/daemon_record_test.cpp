#include "settings/daemon_record.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "support/temporary_directory.h"

using namespace sprite;
using namespace sprite::settings;

TEST_CASE("a daemon's record is private and survives being written and read") {
  const test::TemporaryDirectory runtime;
  CHECK_FALSE(read_daemon_record(runtime.path())->has_value());
  REQUIRE(write_daemon_record(runtime.path(), {42, 4711, "secret", "0.1.0"}));
  struct stat info {};
  REQUIRE(::stat((runtime / "daemon.json").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  const auto record = *read_daemon_record(runtime.path());
  REQUIRE(record);
  CHECK(record->pid == 42);
  CHECK(record->port == 4711);
  CHECK(record->token == "secret");
  CHECK(record->version == "0.1.0");
}

TEST_CASE("a record that is not one is as none") {
  const test::TemporaryDirectory runtime;
  for (const char* text : {"", "{", "[]", "7"}) {
    REQUIRE(write_file_atomically(runtime / "daemon.json", text));
    CHECK_FALSE(read_daemon_record(runtime.path())->has_value());
  }
  REQUIRE(write_file_atomically(runtime / "daemon.json", R"({"port":70000,"pid":"x","token":3})"));
  CHECK(read_daemon_record(runtime.path())->value().port == 0);
}

TEST_CASE("a startup report carries an error whole") {
  CHECK(decode_startup_report(encode_startup_report({})));
  const Error error{Error::Kind::busy, "cannot \"start\"", "wait", {"one", "two\nlines"}};
  const auto back = decode_startup_report(encode_startup_report(error));
  REQUIRE_FALSE(back);
  CHECK(back.error().kind == error.kind);
  CHECK(back.error().what == error.what);
  CHECK(back.error().hint == error.hint);
  CHECK(back.error().because == error.because);
  CHECK(decode_startup_report("").error().kind == Error::Kind::unavailable);
}
