#include <doctest/doctest.h>

#include <algorithm>

#include "agent/guest_files.h"
#include "agent/launch.h"
#include "agent/modules.h"
#include "agent/network.h"
#include "agent/oci_config.h"
#include "agent/process_table.h"
#include "agent/spawner_messages.h"
#include "agent/users.h"
#include "agent/utf8.h"

using namespace sprite;
using namespace sprite::agent;

TEST_CASE("users are found by name and number, with their groups") {
  const char* passwd = "root:x:0:0:root:/root:/bin/bash\nbroken:x\nsprite:x:1000:1001::/home/sprite:\nbad:x:-1:0:::\n";
  const char* group = "root:x:0:\nsudo:x:27:sprite,other\ndocker:x:999:other,sprite\nnone:x:5:\n";
  const auto user = find_user(passwd, group, "sprite");
  REQUIRE(user);
  CHECK(user->uid == 1000);
  CHECK(user->gid == 1001);
  CHECK(user->home == "/home/sprite");
  CHECK(user->shell == "/bin/sh");
  CHECK(user->groups == std::vector<gid_t>{27, 999});
  CHECK(find_user(passwd, group, uid_t{0})->name == "root");
  CHECK(!find_user(passwd, group, "nobody"));
  CHECK(!find_user(passwd, group, "bad"));
}

TEST_CASE("a program survives its encoding; every damage is noticed") {
  Program program;
  program.argv = {"a", "", std::string("b\0c", 3)};
  program.path = "/bin/x";
  program.environment = {"K=V"};
  program.directory = "/d";
  program.user = "u";
  program.terminal = true;
  program.rows = 7;
  program.columns = 65535;
  const std::string text = encode(program);
  const auto decoded = decode_program(text);
  REQUIRE(decoded);
  CHECK(decoded->argv == program.argv);
  CHECK(decoded->path == program.path);
  CHECK(decoded->environment == program.environment);
  CHECK(decoded->directory == program.directory);
  CHECK(decoded->user == program.user);
  CHECK(decoded->terminal);
  CHECK(decoded->rows == 7);
  CHECK(decoded->columns == 65535);
  for (std::size_t length = 0; length < text.size(); ++length) CHECK(!decode_program(text.substr(0, length)));
  CHECK(!decode_program(text + "x"));
}

TEST_CASE("messages carry descriptors; one that is too long is refused") {
  auto sockets = make_message_sockets();
  REQUIRE(sockets);
  auto pipe = make_pipe();
  REQUIRE(pipe);
  const int fd = pipe->write_end.get();
  REQUIRE(send_message(sockets->first.get(), {SpawnerMessage::Kind::start, 7, -3, "text"}, std::span(&fd, 1)));
  auto received = receive_message(sockets->second.get());
  REQUIRE(received);
  REQUIRE(*received);
  CHECK((*received)->message.id == 7);
  CHECK((*received)->message.number == -3);
  CHECK((*received)->message.text == "text");
  REQUIRE((*received)->fds.size() == 1);
  CHECK(write_all((*received)->fds[0].get(), as_bytes("x")));
  CHECK(send_message(sockets->first.get(), {SpawnerMessage::Kind::start, 0, 0, std::string(message_bytes_max, 'x')})
            .error()
            .kind == Error::Kind::invalid);
  sockets->first.reset();
  auto end = receive_message(sockets->second.get());
  REQUIRE(end);
  CHECK(!*end);
}

TEST_CASE("the environment: the last assignment of a key counts, what is none is left out") {
  Program program;
  program.environment = {"A=1", "HOME=/x", "A=2", "=y", "nothing"};
  program.terminal = true;
  const auto environment = environment_for(program, User{"u", 1, 1, "/home/u", "/bin/bash", {}});
  const auto count = [&](const std::string& text) { return std::count(environment.begin(), environment.end(), text); };
  CHECK(count("A=2") == 1);
  CHECK(count("A=1") == 0);
  CHECK(count("HOME=/x") == 1);
  CHECK(count("HOME=/home/u") == 0);
  CHECK(count("TERM=xterm-256color") == 1);
  CHECK(count("SHELL=/bin/bash") == 1);
  CHECK(count("nothing") == 0);
}

TEST_CASE("modules.dep: what is needed, whatever the spelling") {
  const ModuleIndex index = parse_modules_dep(
      "kernel/net/veth.ko:\nkernel/fs/ext4/ext4.ko: kernel/fs/mbcache.ko "
      "kernel/fs/jbd2/jbd2.ko\nkernel/d/virtio-rng.ko:\nnonsense\n");
  CHECK(index.by_name.size() == 3);
  CHECK(index.by_name.count("virtio_rng") == 1);
  CHECK(index.by_name.at("ext4").needs_paths ==
        std::vector<std::string>{"kernel/fs/mbcache.ko", "kernel/fs/jbd2/jbd2.ko"});
}

TEST_CASE("the session of a process whose name has brackets and spaces") {
  CHECK(session_in_stat("12 (a) (b c) S 1 12 77 0 -1") == 77);
  CHECK(!session_in_stat("12 (a"));
  CHECK(!session_in_stat(""));
}

TEST_CASE("hosts: our line is replaced, the user's lines stay") {
  CHECK(hosts_with_name("127.0.0.1 localhost\n127.0.1.1 old\n10.0.0.9 db\n", "new") ==
        "127.0.0.1 localhost\n10.0.0.9 db\n127.0.1.1\tnew\n");
  CHECK(hosts_with_name("", "new") == "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n127.0.1.1\tnew\n");
}

TEST_CASE("the container has neither the disk nor the means to break the VM") {
  const std::string config = oci_config({"/disk", "/inside", "/proc/1/fd/9", 11});
  for (const char* capability : {"SYS_MODULE", "SYS_BOOT", "SYS_RAWIO", "SYS_TIME"})
    CHECK(config.find("CAP_" + std::string(capability)) == std::string::npos);
  CHECK(config.find("CAP_SYS_ADMIN") != std::string::npos);
  CHECK(config.find(R"({"allow":false,"access":"rwm"})") != std::string::npos);
  CHECK(config.find(R"("path":"/proc/1/fd/9")") != std::string::npos);
  CHECK(config.find(R"("args":["/.sprite/bin/spawner","spawner","11"])") != std::string::npos);
}

TEST_CASE("the filter lets the resolver through before it closes the host's network") {
  const std::string rules = filter_rules();
  CHECK(rules.find("10.0.2.3") < rules.find("10.0.2.0/24 drop"));
  CHECK(rules.find("127.0.0.0/8 drop") < rules.find("oifname \"eth0\" accept"));
}

TEST_CASE("bytes become UTF-8, whatever they are") {
  CHECK(to_utf8("plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80") == "plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  for (const char* bad : {"\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                          "\xe2\x82", "\x80"}) {
    const std::string made = to_utf8(bad);
    CHECK(made.find("\xef\xbf\xbd") == 0);
    CHECK(to_utf8(made) == made);
  }
}
