#include "vm/machine_files.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/temporary_directory.h"
#include "vm/console_log.h"
#include "vm/embedded.h"
#include "vm/qemu_logs.h"

using namespace sprite;
using namespace sprite::vm;

namespace {

constexpr auto id = "0f3c9a52-7b1e-4c1d-9f00-123456789abc";

MachineSpec spec_in(const Path& directory) {
  MachineSpec spec;
  spec.id = id;
  spec.kernel = directory / "vmlinuz";
  spec.initramfs = directory / "initramfs.img";
  spec.disk_socket = directory / "disk.sock";
  spec.channel_socket = directory / "channel.sock";
  spec.console_log = directory / "console.log";
  spec.memory_file = directory / "machine.ram";
  spec.runtime_directory = directory;
  spec.memory_bytes = 128 * MiB;
  REQUIRE(write_file_atomically(spec.kernel, "kernel"));
  REQUIRE(write_file_atomically(spec.initramfs, "initramfs"));
  return spec;
}

/// A process that holds the pid file's lock as QEMU does.
pid_t start_lock_holder(const Path& file) {
  Pipe ready = *make_pipe();
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT, 0600);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    if (::fcntl(fd, F_SETLK, &lock) != 0) std::_Exit(1);
    (void)!::write(ready.write_end.get(), "x", 1);
    for (;;) ::pause();
  }
  std::byte byte[1];
  REQUIRE(read_exactly(ready.read_end.get(), byte));
  return child;
}

}  // namespace

TEST_CASE("a record comes back as it was written, and goes") {
  const test::TemporaryDirectory directory;
  Records records(directory / "machines");
  CHECK(records.all()->empty());
  CHECK_FALSE(*records.find(id));
  const Record record = record_of(spec_in(directory.path()), "11111111-2222-4333-8444-555555555555");
  REQUIRE(records.write(record));
  REQUIRE(write_file_atomically(directory / "machines" / "notes.txt", "not a record"));
  REQUIRE(records.all()->size() == 1);
  const Record found = records.all()->front();
  CHECK(found.id == record.id);
  CHECK(found.domain_id == record.domain_id);
  CHECK(found.memory_file == record.memory_file);
  CHECK(found.channel_socket == record.channel_socket);
  CHECK(found.console_log == record.console_log);
  CHECK(found.runtime_directory == record.runtime_directory);
  records.remove(id);
  CHECK(records.all()->empty());
}

TEST_CASE("a record does not take a path that would break its lines") {
  const test::TemporaryDirectory directory;
  Record record = record_of(spec_in(directory.path()), "x");
  record.memory_file = "/dev/shm/a\nmemory_file=/etc/passwd";
  const auto written = Records(directory / "machines").write(record);
  REQUIRE_FALSE(written);
  CHECK(written.error().kind == Error::Kind::invalid);
}

TEST_CASE("a machine that cannot start is refused with a way out") {
  const test::TemporaryDirectory directory;
  const MachineSpec good = spec_in(directory.path());
  REQUIRE(check_spec(good));
  SUBCASE("an id that is no UUID") {
    for (const char* wrong : {"", "api", "../../etc/passwd", "0F3C9A52-7B1E-4C1D-9F00-123456789ABC"}) {
      MachineSpec spec = good;
      spec.id = wrong;
      CAPTURE(wrong);
      REQUIRE_FALSE(check_spec(spec));
      CHECK(check_spec(spec).error().kind == Error::Kind::invalid);
    }
  }
  SUBCASE("memory that is no whole number of MiB") {
    MachineSpec spec = good;
    spec.memory_bytes = 128 * MiB + 4 * KiB;
    REQUIRE_FALSE(check_spec(spec));
    CHECK(check_spec(spec).error().kind == Error::Kind::invalid);
  }
  SUBCASE("no kernel") {
    MachineSpec spec = good;
    spec.kernel = directory / "absent";
    REQUIRE_FALSE(check_spec(spec));
    CHECK(check_spec(spec).error().kind == Error::Kind::not_found);
    CHECK(check_spec(spec).error().hint.find("sprite image") != std::string::npos);
  }
  SUBCASE("a socket path longer than the kernel takes") {
    MachineSpec spec = good;
    spec.disk_socket = directory / std::string(100, 'x');
    REQUIRE_FALSE(check_spec(spec));
    CHECK(check_spec(spec).error().hint.find("XDG_RUNTIME_DIR") != std::string::npos);
  }
}

TEST_CASE("a memory file is sparse, private and fits") {
  const test::TemporaryDirectory directory;
  const Path file = directory / "machine.ram";
  REQUIRE(make_memory_file(file, 64 * MiB));
  struct stat info {};
  REQUIRE(::stat(file.c_str(), &info) == 0);
  CHECK(info.st_size == 64 * MiB);
  CHECK(info.st_blocks == 0);
  CHECK((info.st_mode & 0777) == 0600);

  const auto full = make_memory_file(directory / "huge.ram", std::uint64_t{1} << 60);
  REQUIRE_FALSE(full);
  CHECK(full.error().kind == Error::Kind::no_space);
  CHECK(full.error().hint.find("stop another") == std::string::npos);  // that would not be enough
  CHECK(full.error().hint.find("less memory than") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(directory / "huge.ram"));
  const auto absent = make_memory_file(directory / "absent" / "machine.ram", MiB);
  REQUIRE_FALSE(absent);
  CHECK(absent.error().kind == Error::Kind::not_found);
  CHECK(absent.error().hint.find("config set memory_dir") != std::string::npos);
}

TEST_CASE("memory that other machines may still take is not given away") {
  const test::TemporaryDirectory directory;
  const Path first = directory / "first.ram", second = directory / "second.ram";
  const std::uint64_t all = memory_room(directory.path(), first)->free_bytes;
  const std::uint64_t half = all / 2 / MiB * MiB;
  REQUIRE(make_memory_file(first, half));
  {
    const Fd file = *open_file(first, O_WRONLY);
    REQUIRE(pwrite_all(file.get(), Bytes(8 * MiB, std::byte{1}), 0));
    REQUIRE(::fsync(file.get()) == 0);
  }
  CHECK(memory_room(directory.path(), second)->promised_bytes <= half - 8 * MiB);
  CHECK(memory_room(directory.path(), second)->promised_bytes > half - 9 * MiB);
  CHECK(memory_room(directory.path(), first)->promised_bytes == 0);  // its own file is made anew

  // There is room for it, but not once the first has taken all that it may.
  const auto refused = make_memory_file(second, all - half / 2);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::no_space);
  CHECK(refused.error().hint.find("sprite stop") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(second));
  CHECK(make_memory_file(second, half / 2));
  std::filesystem::remove(first);
  CHECK(make_memory_file(second, all - half / 2));
}

TEST_CASE("only a process that holds the pid file's lock is killed") {
  const test::TemporaryDirectory directory;
  CHECK_FALSE(*kill_process(directory.path()));  // no file
  REQUIRE(write_file_atomically(pid_file(directory.path()), std::to_string(::getpid())));
  CHECK_FALSE(*kill_process(directory.path()));  // a stale one, whose number is somebody else's by now: ours
  const pid_t child = start_lock_holder(pid_file(directory.path()));
  CHECK(*kill_process(directory.path()));
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK_FALSE(*kill_process(directory.path()));
}

TEST_CASE("a console's log keeps its newer half while it grows") {
  const test::TemporaryDirectory directory;
  const Path log = directory / "console.log";
  CHECK(trim_console(log, 64 * KiB));  // absent
  const Fd writer = *open_file(log, O_WRONLY | O_CREAT | O_APPEND);
  std::uint64_t line = 0;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 10000; ++i) REQUIRE(write_all(writer.get(), as_bytes(fmt::format("{:09}\n", line++))));
    REQUIRE(trim_console(log, 64 * KiB));
    const std::string text = *read_file(log);
    CHECK(text.size() <= 64 * KiB);
    CHECK(text.size() >= 32 * KiB);
    CHECK(text.ends_with(fmt::format("{:09}\n", line - 1)));
    CHECK(text.find('\0') == std::string::npos);
  }
  const std::string before = *read_file(log);
  REQUIRE(trim_console(log, 64 * KiB));
  CHECK(*read_file(log) == before);
  CHECK(*console_tail(log, 64 * KiB) == before);
  CHECK(*console_tail(log, 100) == before.substr(before.size() - 100));
  CHECK(console_tail(directory / "none").error().kind == Error::Kind::not_found);
}

TEST_CASE("QEMU's last words are those of its last start") {
  const test::TemporaryDirectory directory;
  CHECK(last_words(directory.path(), "sprite-1").empty());
  REQUIRE(write_file_atomically(directory / "sprite-1.log",
                                "2026-06-01 10:00:00.000+0000: starting up libvirt version: 9.0.0\n"
                                "2026-06-01T10:00:01.0Z qemu-system-x86_64: an old story\n"
                                "2026-06-02 10:00:00.000+0000: starting up libvirt version: 9.0.0\n"
                                "/usr/bin/qemu-system-x86_64 \\\n-name guest=sprite-1\n"
                                "2026-06-02T10:00:01.0Z qemu-system-x86_64: cannot map memory\n"
                                "2026-06-02 10:00:02.000+0000: shutting down, reason=failed\n"));
  const auto words = last_words(directory.path(), "sprite-1");
  REQUIRE(words.size() == 1);
  CHECK(words[0] == "qemu-system-x86_64: cannot map memory");
}

TEST_CASE("the root of an embedded libvirt") {
  const test::TemporaryDirectory directory;
  const auto too_long = prepare_embedded(directory / std::string(60, 'x'));
  REQUIRE_FALSE(too_long);
  CHECK(too_long.error().kind == Error::Kind::invalid);
  CHECK(too_long.error().hint.find("runtime_dir") != std::string::npos);
  CHECK(element_text("<a><b>x</b></a>", "b") == "x");
  CHECK(element_text("<a><b>x</a>", "b").empty());
  CHECK(element_text("", "b").empty());
}
