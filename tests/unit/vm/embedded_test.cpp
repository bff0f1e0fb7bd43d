#include "vm/embedded.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <optional>

#include "base/directory.h"
#include "support/temporary_directory.h"
#include "vm/machine_files.h"

using namespace sprite;
using namespace sprite::vm;

namespace {

/// A process that holds the lock on a pid file, as QEMU does, and hears no request to end.
class Holder {
 public:
  explicit Holder(const Path& pid_file) : process_(::fork()) {
    if (process_ == 0) {
      ::signal(SIGTERM, SIG_IGN);
      struct flock whole {};
      whole.l_type = F_WRLCK;
      const int file = ::open(pid_file.c_str(), O_RDWR | O_CREAT, 0600);
      if (::fcntl(file, F_SETLK, &whole) != 0) ::_exit(1);
      for (;;) ::pause();
    }
    for (int look = 0; look < 2000 && !is_held(pid_file); ++look) ::usleep(1000);
  }
  ~Holder() {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  Holder(Holder&&) = delete;

 private:
  pid_t process_;
};

constexpr const char* starting =
    "<domstatus state='paused' reason='starting up' pid='7'>\n<job type='none' async='start' flags='0x1'/>\n<domain "
    "type='qemu'/>\n</domstatus>";
constexpr const char* running =
    "<domstatus state='running' reason='unpaused' pid='8'>\n<domain type='qemu'><name>async='start'</name></domain>\n"
    "</domstatus>";

/// libvirt's root with two machines, of which one is as `noted` says and the other runs.
struct Root {
  explicit Root(const char* noted) {
    REQUIRE(make_directories(notes));
    REQUIRE(make_directories(sockets / "domain-1-sprite-one"));
    REQUIRE(make_directories(notes / "channel" / "1-sprite-one"));
    REQUIRE(make_directories(sockets / "domain-2-sprite-two"));
    REQUIRE(write_file_atomically(notes / "sprite-one.xml", noted));
    REQUIRE(write_file_atomically(notes / "sprite-two.xml", running));
    one.emplace(notes / "sprite-one.pid");
    two.emplace(notes / "sprite-two.pid");
    REQUIRE(is_held(notes / "sprite-one.pid"));
    REQUIRE(is_held(notes / "sprite-two.pid"));
  }
  bool has_one() const {
    return std::filesystem::exists(notes / "sprite-one.xml") || std::filesystem::exists(notes / "sprite-one.pid") ||
           std::filesystem::exists(sockets / "domain-1-sprite-one") ||
           std::filesystem::exists(notes / "channel" / "1-sprite-one");
  }
  bool has_two() const {
    return is_held(notes / "sprite-two.pid") && std::filesystem::exists(notes / "sprite-two.xml") &&
           std::filesystem::exists(sockets / "domain-2-sprite-two");
  }
  test::TemporaryDirectory root;
  Path notes = root / "run" / "qemu", sockets = root / "lib" / "qemu";
  std::optional<Holder> one, two;
};

}  // namespace

TEST_CASE("a machine in whose start or end the daemon was killed is ended without a trace, and no other") {
  for (const char* noted :
       {starting, "<domstatus state='shutdown' reason='unknown' pid='7'><domain type='qemu'/></domstatus>",
        "<domstatus state='running' reason='unpaused' pid='7'><job type='destroy' async='none'/><domain "
        "type='qemu'/></domstatus>"}) {
    CAPTURE(noted);
    const Root root(noted);
    const auto begin = std::chrono::steady_clock::now();
    clear_unfinished(root.root.path());
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));  // libvirt waits for 10
    CHECK_FALSE(root.has_one());
    CHECK(root.has_two());
  }
}

TEST_CASE("a machine that has started goes on, though libvirt found no room to note that its start has ended") {
  for (const char* noted :
       {"<domstatus state='running' reason='unpaused' pid='7'><job type='none' async='start'/><domain "
        "type='qemu'/></domstatus>",
        "<domstatus state='paused' reason='user' pid='7'><job type='none' async='start'/><domain "
        "type='qemu'/></domstatus>"}) {
    CAPTURE(noted);
    const Root root(noted);
    clear_unfinished(root.root.path());
    CHECK(is_held(root.notes / "sprite-one.pid"));
    CHECK(root.has_one());
  }
}

TEST_CASE("a machine whose note cannot be read goes on") {
  const Root root(starting);
  std::filesystem::remove(root.notes / "sprite-one.xml");
  REQUIRE(make_directories(root.notes / "sprite-one.xml"));
  clear_unfinished(root.root.path());
  CHECK(is_held(root.notes / "sprite-one.pid"));
}

TEST_CASE("a machine of which nothing but a pid file was noted is ended, too") {
  const Root root(starting);
  std::filesystem::remove(root.notes / "sprite-one.xml");
  clear_unfinished(root.root.path());
  CHECK_FALSE(root.has_one());
  CHECK(root.has_two());
}

TEST_CASE("what another process's libvirt is at is left alone") {
  const Root root(starting);
  const Holder other(root.notes / "driver.pid");
  clear_unfinished(root.root.path());
  CHECK(is_held(root.notes / "sprite-one.pid"));
  CHECK(root.has_one());
}
