/// Cpio, tar and recipe readers and writers, against the system's own programs where there are any.
#include <doctest/doctest.h>

#include <algorithm>

#include "base/process.h"
#include "base/text.h"
#include "image/cpio.h"
#include "image/elf.h"
#include "image/kernel.h"
#include "image/recipe.h"
#include "image/tar.h"
#include "unit/image/fixture.h"

namespace sprite::image {
namespace {

std::string shell(const std::string& line) {
  auto finished = run_process({"sh", "-ec", line});
  REQUIRE(finished.has_value());
  REQUIRE_MESSAGE(finished->exit_status == 0, finished->err);
  return finished->out;
}

TEST_CASE("cpio reads what we write") {
  const test::TemporaryDirectory home;
  Cpio cpio;
  cpio.add_directory("etc");
  cpio.add_file("etc/odd", 0640, as_bytes("12345"));  // a length that needs padding
  cpio.add_file("etc/empty", 0600, {});
  cpio.add_symlink("bin", "usr/bin");
  cpio.add_character_device("console", 0600, 5, 1);
  test::write_text(home / "archive", std::move(cpio).finish());
  const std::string listed = shell("cpio -itv --quiet <" + (home / "archive").string());
  for (const char* expected :
       {"drwxr-xr-x", "-rw-r-----   1 root     root            5", "bin -> usr/bin", "crw-------", "5,   1"})
    CHECK_MESSAGE(listed.find(expected) != std::string::npos, listed);
  CHECK(shell("cpio -i --quiet --to-stdout etc/odd <" + (home / "archive").string()) == "12345");
}

/// A tar archive of all kinds of entries, made by the system's tar.
struct Archive {
  test::TemporaryDirectory home;
  std::string long_name = std::string(120, 'd') + "/" + std::string(120, 'f');

  TarFile make(const std::string& format) {
    shell("cd " + home.path().string() + "; rm -rf t; mkdir -p t/usr/lib t/" + std::string(120, 'd') +
          "; echo content >t/usr/lib/real; ln t/usr/lib/real t/usr/lib/second; ln -s real t/usr/lib/alias; ln -s "
          "usr/lib t/lib; "
          "ln -s /usr/lib/alias t/usr/far; ln -s loop t/loop; echo long >t/" +
          long_name + "; chmod 4755 t/usr/lib/real; tar --format=" + format +
          " --owner=12:3000000 --group=34:34 -C t -cf t.tar .");
    auto tar = TarFile::open(home / "t.tar");
    REQUIRE_MESSAGE(tar.has_value(), to_text(tar ? Error{} : tar.error()));
    return std::move(*tar);
  }
};

TEST_CASE_FIXTURE(Archive, "tar archives of each format read the same") {
  for (const char* format : {"gnu", "pax", "posix"}) {
    CAPTURE(format);
    const TarFile tar = make(format);
    REQUIRE(tar.find("usr/lib/real"));
    const TarEntry* real = tar.resolve("usr/lib/real");
    REQUIRE(real);
    CHECK(real->mode == 04755);
    CHECK(real->uid == 3000000);
    CHECK(as_text(*tar.content(long_name)) == "long\n");
    for (const char* path :
         {"usr/lib/real", "usr/lib/second", "usr/lib/alias", "lib/real", "lib/alias", "usr/far", "/./usr/far"})
      CHECK_MESSAGE(as_text(tar.content(path).has_value() ? *tar.content(path) : Bytes{}) == "content\n", path);
    for (const char* path : {"loop", "usr/lib/none", "none/none", "usr/lib"})
      CHECK_MESSAGE(tar.content(path).error().kind == Error::Kind::not_found, path);
    CHECK(tar.find("")->kind == TarEntry::Kind::directory);
  }
}

TEST_CASE_FIXTURE(Archive, "a tar archive cut anywhere or damaged is refused") {
  make("pax");
  const std::uint64_t size = std::filesystem::file_size(home / "t.tar");
  for (std::uint64_t cut = 0; cut + 10240 < size; cut += 256) {
    std::filesystem::copy_file(home / "t.tar", home / "cut.tar", std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(home / "cut.tar", cut);
    if (const auto opened = TarFile::open(home / "cut.tar"); opened) {
      std::filesystem::resize_file(home / "cut.tar", size);  // only if the end mark was still there
      CHECK_MESSAGE(opened->entries().size() == TarFile::open(home / "t.tar")->entries().size(), cut);
    }
  }
  auto fd = open_file(home / "t.tar", O_RDWR);
  REQUIRE(pwrite_all(fd->get(), as_bytes("?"), 3).has_value());
  CHECK(TarFile::open(home / "t.tar").error().kind == Error::Kind::corrupt);
}

TEST_CASE("what a program is linked with") {
  const auto program = read_file("/proc/self/exe", 1 * GiB);
  REQUIRE(program.has_value());
  const auto linkage = read_linkage(as_bytes(*program));
  REQUIRE(linkage.has_value());
  CHECK(linkage->interpreter.find("/ld-") != std::string::npos);
  CHECK(std::find(linkage->needed.begin(), linkage->needed.end(), "libc.so.6") != linkage->needed.end());
  CHECK_FALSE(*has_pvh_entry(as_bytes(*program)));
}

TEST_CASE("a stripped program still runs, and is smaller") {
  const test::TemporaryDirectory home;
  const auto program = read_file("/proc/self/exe", 1 * GiB);
  Bytes stripped(as_bytes(*program).begin(), as_bytes(*program).end());
  REQUIRE(strip_program(stripped).has_value());
  CHECK(stripped.size() < program->size());
  REQUIRE(write_file_atomically(home / "program", as_text(stripped), 0755).has_value());
  const auto finished = run_process({(home / "program").string(), "--version"});
  REQUIRE(finished.has_value());
  CHECK(finished->exit_status == 0);
  CHECK(finished->out.find("2.") != std::string::npos);
}

TEST_CASE("no beginning of a program, and no garbage, makes the readers read too far") {
  const auto program = read_file("/bin/true", 1 * MiB);
  REQUIRE(program.has_value());
  for (std::size_t cut = 0; cut < program->size(); cut += 97) {
    Bytes part(as_bytes(*program).begin(), as_bytes(*program).begin() + static_cast<std::ptrdiff_t>(cut));
    (void)read_linkage(part);  // under the sanitizers a read outside is the failure
    (void)read_module_info(part);
    (void)has_pvh_entry(part);
    (void)unpack_kernel(part);
    (void)strip_program(part);
  }
  CHECK(read_linkage(as_bytes("#!/bin/sh\n")).error().kind == Error::Kind::invalid);
  CHECK(unpack_kernel(as_bytes(*program)).error().kind == Error::Kind::invalid);
}

constexpr const char* good_recipe = R"(name: small
suite: bookworm
sources: [deb http://deb.example bookworm main]
timestamp: 2026-01-01T00:00:00Z
disk: {size: 2GiB, uuid: 5f1e5a1e-0b5e-4d15-8c0d-5a1e5f1e0b5e}
rootfs: {packages: [bash], exclude: [], customize: "true"}
boot: {packages: [linux], programs: [/usr/bin/crun], modules: [ext4], arguments: console=ttyS0}
)";

TEST_CASE("a recipe, and mistakes in one") {
  const test::TemporaryDirectory home;
  const auto read = [&](const std::string& text) {
    test::write_text(home / "image.yaml", text);
    return read_recipe(home.path());
  };
  const auto good = read(good_recipe);
  REQUIRE_MESSAGE(good.has_value(), to_text(good ? Error{} : good.error()));
  CHECK(good->disk_bytes == 2 * GiB);
  CHECK(good->timestamp_s == 1767225600);
  CHECK(good->boot.modules == std::vector<std::string>{"ext4"});

  struct Mistake {
    std::string from, to, expected;
  };
  for (const Mistake& each :
       {Mistake{"suite", "suit", "suit"}, Mistake{"suite: bookworm", "suite: --hook-dir=x", "name of a release"},
        Mistake{"[deb ", "[--hook-dir=x, deb ", "does not begin with 'deb '"}, Mistake{"2GiB", "lots", "line 5"},
        Mistake{"[bash]", "bash", "must be a list"}, Mistake{"exclude", "excludes", "exclude"},
        Mistake{"name: small", "name: Small!", "name"}, Mistake{"2026-01-01T00:00:00Z", "yesterday", "timestamp"},
        Mistake{"boot: {", "boot: {{", "image.yaml"}}) {
    std::string text = good_recipe;
    text.replace(text.find(each.from), each.from.size(), each.to);
    const auto refused = read(text);
    REQUIRE_FALSE_MESSAGE(refused.has_value(), each.to);
    CHECK(refused.error().kind == Error::Kind::invalid);
    CHECK_MESSAGE(to_text(refused.error()).find(each.expected) != std::string::npos, to_text(refused.error()));
  }
  CHECK(read_recipe(home / "nowhere").error().kind == Error::Kind::not_found);
}

}  // namespace
}  // namespace sprite::image
