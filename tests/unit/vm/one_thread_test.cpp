#include "vm/one_thread.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "base/process.h"
#include "support/temporary_directory.h"

using namespace sprite;
using namespace sprite::vm;

TEST_CASE("emulation in threads of its own is for a QEMU that locks what it translates") {
  CHECK(needs_one_thread(Accelerator::emulation, 7'002'022));
  CHECK(needs_one_thread(Accelerator::emulation, 8'000'002));
  CHECK_FALSE(needs_one_thread(Accelerator::emulation, 8'001'000));
  CHECK_FALSE(needs_one_thread(Accelerator::kvm, 7'002'022));
}

TEST_CASE("the launcher passes everything on, and asks for one thread") {
  const test::TemporaryDirectory directory;
  const Path emulator = directory.path() / "the user's `qemu` $x";
  REQUIRE(write_file_atomically(emulator, "#!/bin/sh\nfor each; do echo \"<$each>\"; done\n", 0700));
  const auto launcher = one_thread_launcher(directory.path(), emulator);
  REQUIRE(launcher);
  const auto ran = run_process({launcher->string(), "-name", "two words", "-accel", "tcg", "", "$HOME 'x' \"y\"",
                                "-append", "tcg", "-machine", "none,accel=tcg"});
  REQUIRE(ran);
  CHECK(ran->err == "");
  CHECK(ran->out ==
        "<-name>\n<two words>\n<-accel>\n<tcg,thread=single>\n<>\n<$HOME 'x' \"y\">\n<-append>\n<tcg>\n<-machine>\n"
        "<none,accel=tcg>\n");
}

TEST_CASE("a QEMU that was upgraded has another launcher, of which libvirt asks anew what it can do") {
  const test::TemporaryDirectory directory;
  const Path emulator = directory.path() / "qemu";
  REQUIRE(write_file_atomically(emulator, "#!/bin/sh\n", 0700));
  const std::string before = *read_file(*one_thread_launcher(directory.path(), emulator));
  REQUIRE(write_file_atomically(emulator, "#!/bin/sh\ntrue\n", 0700));
  CHECK(*read_file(*one_thread_launcher(directory.path(), emulator)) != before);
  CHECK_FALSE(one_thread_launcher(directory.path(), directory.path() / "nothing"));
}

TEST_CASE("a launcher that is as it should be is left alone, since libvirt asks a changed one anew") {
  const test::TemporaryDirectory directory;
  const Path file = *one_thread_launcher(directory.path(), "/bin/true");
  struct stat before {
  }, after{};
  REQUIRE(::stat(file.c_str(), &before) == 0);
  REQUIRE(one_thread_launcher(directory.path(), "/bin/true"));
  REQUIRE(::stat(file.c_str(), &after) == 0);
  CHECK(after.st_ino == before.st_ino);
  CHECK(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);

  REQUIRE(one_thread_launcher(directory.path(), "/bin/echo"));
  CHECK(run_process({file.string(), "other"})->out == "other\n");
  REQUIRE(::chmod(file.c_str(), 0600) == 0);
  REQUIRE(one_thread_launcher(directory.path(), "/bin/echo"));
  CHECK(run_process({file.string(), "again"})->out == "again\n");
}
