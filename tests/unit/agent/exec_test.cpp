#include <signal.h>

#include <filesystem>

#include "agent/process_table.h"
#include "base/file.h"
#include "base/text.h"
#include "support/temporary_directory.h"
#include "unit/agent/world.h"

using namespace sprite;
using namespace sprite::test;
using namespace std::chrono_literals;

namespace {

std::size_t count_entries(const Path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

std::size_t children_of(pid_t pid) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  REQUIRE(text);
  return trim(*text).empty() ? 0 : split(trim(*text), ' ').size();
}

bool gone(pid_t pid) { return ::kill(pid, 0) != 0; }

std::string pid_in(const std::string& text) { return trim(text.substr(0, text.find('\n'))); }

/// Runs the loop until `condition` holds; false after 10 s.
template <class F>
bool eventually(World& world, F condition) {
  for (int i = 0; i < 500 && !condition(); ++i) world.loop.run_for(20ms);
  return condition();
}

}  // namespace

TEST_CASE("exec tells the session first, keeps the streams apart and the exit last") {
  World world;
  const Seen seen = world.exec(shell("echo out; echo err >&2; exit 3"));
  CHECK(seen.first_was_session_info);
  CHECK(seen.out == "out\n");
  CHECK(seen.err == "err\n");
  CHECK(seen.exit == 3);
  CHECK(seen.close_code == 1000);
}

TEST_CASE("exit statuses are a shell's") {
  World world;
  CHECK(world.exec("cmd=true").exit == 0);
  CHECK(world.exec("cmd=false").exit == 1);
  CHECK(world.exec(shell("kill -KILL $$")).exit == 137);
  CHECK(world.exec(shell("kill -TERM $$")).exit == 143);
  const Seen missing = world.exec("cmd=no-such-program");
  CHECK(missing.exit == 127);
  CHECK(missing.err == "no-such-program: command not found\n");
  CHECK(world.exec("cmd=/no/such/program").exit == 127);
  CHECK(world.exec("cmd=/etc/passwd").exit == 126);
  const Seen lost = world.exec("cmd=true&dir=/no/such/folder");
  CHECK(lost.exit == 1);
  CHECK(lost.err == "/no/such/folder: No such file or directory\n");
}

TEST_CASE("environment and directory: the login's, the machine's, the request's") {
  World world;
  const Seen seen =
      world.exec("dir=/usr&env=OWN=a%3Db&env=FROM_LOGIN=&env=HOME=/else&" +
                 shell("pwd; echo $FROM_CONFIGURE $OWN $HOME; test -n \"$PATH\" && test -n \"$USER\" && echo yes"));
  CHECK(seen.out == "/usr\n1 a=b /else\nyes\n");
}

TEST_CASE("a command that is no UTF-8 runs, and the texts about it stay texts") {
  World world;
  const Seen seen = world.exec("cmd=echo&cmd=-n&cmd=%FF%00lost");
  CHECK(seen.out == "\xff");  // no argument can hold a zero byte
  CHECK(json::parse(seen.texts[0]).at("command").as_string().find("\xef\xbf\xbd") != std::string::npos);
}

TEST_CASE("path names the program, cmd its arguments") {
  World world;
  CHECK(world.exec("path=sh&cmd=other-name&cmd=-c&cmd=echo+$0").out == "other-name\n");
}

TEST_CASE("output of short programs is never lost") {
  World world;
  for (int round = 0; round < 300; ++round) {
    REQUIRE(world.exec("cmd=true").exit == 0);
    const Seen seen = world.exec("cmd=echo&cmd=x");
    REQUIRE(seen.out == "x\n");
    REQUIRE(seen.exit == 0);
  }
}

TEST_CASE("many at once lose nothing") {
  World world;
  std::vector<std::unique_ptr<http::WebSocket>> sockets;
  for (int i = 0; i < 50; ++i) sockets.push_back(world.open("cmd=echo&cmd=" + std::to_string(i)));
  for (int i = 0; i < 50; ++i)
    CHECK(world.finish(*sockets[static_cast<std::size_t>(i)]).out == std::to_string(i) + "\n");
}

TEST_CASE("input goes through exactly, to its end") {
  World world;
  std::string bytes;
  for (int i = 0; i < 4 * 1024 * 1024; ++i) bytes += static_cast<char>(i * 7 + i / 251);
  auto socket = world.open("cmd=cat&stdin=true");
  bool sent = false;
  asio::co_spawn(
      world.loop.executor(),
      [&]() -> asio::awaitable<void> {
        for (std::size_t at = 0; at < bytes.size(); at += 60'000)
          (void)co_await socket->send_binary(wire::exec_frame(wire::ExecStream::input, bytes.substr(at, 60'000)));
        (void)co_await socket->send_binary(wire::exec_frame(wire::ExecStream::end_of_input, ""));
        sent = true;
      },
      asio::detached);
  const Seen seen = world.finish(*socket);
  CHECK(sent);
  CHECK(seen.out == bytes);
  CHECK(seen.exit == 0);
}

TEST_CASE("without stdin=true a program that reads finds the end at once") {
  World world;
  CHECK(world.exec("cmd=cat").exit == 0);
}

TEST_CASE("a program is read only as fast as its client takes it") {
  World world;
  auto socket = world.open("cmd=head&cmd=-c&cmd=200000000&cmd=/dev/zero");
  world.loop.run_for(1s);
  const auto sessions = world.sessions.running();
  REQUIRE(sessions.size() == 1);
  const auto io = read_file("/proc/" + std::to_string(sessions[0]->pid()) + "/io");
  REQUIRE(io);
  const std::size_t at = io->find("wchar: ") + 7;
  CHECK(std::stoull(io->substr(at)) < 8'000'000);
  const Seen seen = world.finish(*socket);
  CHECK(seen.out.size() == 200'000'000);
}

TEST_CASE("input that nobody reads does not keep a signal from arriving") {
  World world;
  auto socket = world.open("stdin=true&" + shell("exec sleep 100"));
  world.loop.run([](http::WebSocket& to) -> asio::awaitable<void> {
    const std::string much(100'000, 'x');
    (void)co_await to.send_binary(wire::exec_frame(wire::ExecStream::input, much));
    (void)co_await to.send_text(R"({"type":"signal","signal":"TERM"})");
  }(*socket));
  CHECK(world.finish(*socket).exit == 143);
}

TEST_CASE("children in the background do not hold the exit back") {
  World world;
  const auto started = std::chrono::steady_clock::now();
  const Seen seen = world.exec(shell("sleep 20 & echo $!; exit 4"));
  CHECK(std::chrono::steady_clock::now() - started < 3s);
  CHECK(seen.exit == 4);
  const pid_t child = std::stoi(pid_in(seen.out));
  CHECK(!gone(child));
  ::kill(child, SIGKILL);
}

TEST_CASE("what the program itself wrote arrives, even while a child holds its output and the client is slow") {
  World world;
  // So much that its last part is still in the pipe when the program has ended and the grace is over.
  auto socket = world.open(shell("sleep 20 & echo $! >&2; head -c 600000 /dev/zero"));
  world.loop.run_for(1s);
  const Seen seen = world.finish(*socket);
  CHECK(seen.out.size() == 600'000);
  CHECK(seen.exit == 0);
  ::kill(std::stoi(pid_in(seen.err)), SIGKILL);
}

TEST_CASE("a terminal has the size asked for, takes another, and closes with 1011 when it fails") {
  World world;
  auto socket = world.open("tty=true&rows=33&cols=101&" + shell("stty size; read line; stty size; exit 3"));
  Seen seen;
  CHECK(world.loop.run(World::read_until(*socket, seen, "33 101")));
  world.loop.run([](http::WebSocket& to) -> asio::awaitable<void> {
    (void)co_await to.send_text(R"({"type":"resize","cols":70,"rows":20})");
    (void)co_await to.send_binary("go\n");
  }(*socket));
  const Seen rest = world.finish(*socket, seen);
  CHECK(rest.texts.back().find("\"exit\"") != std::string::npos);
  CHECK(rest.exit == 3);
  CHECK(rest.close_code == 1011);
  CHECK(world.exec("tty=true&cmd=true").close_code == 1000);
}

TEST_CASE("a terminal's interrupt key and hang-up reach the program") {
  World world;
  auto socket = world.open("tty=true&cmd=sleep&cmd=100");
  world.loop.run_for(100ms);
  world.loop.run([](http::WebSocket& to) -> asio::awaitable<void> { (void)co_await to.send_binary("\x03"); }(*socket));
  CHECK(world.finish(*socket).exit == 130);
}

TEST_CASE("a session survives its client; who attaches sees what was, and what follows") {
  World world;
  auto first = world.open("tty=true&cmd=cat");
  Seen seen;
  world.loop.run(
      [](http::WebSocket& to) -> asio::awaitable<void> { (void)co_await to.send_binary("hello\n"); }(*first));
  CHECK(world.loop.run(World::read_until(*first, seen, "hello\r\nhello")));
  world.loop.run(first->close(1000));
  first.reset();
  REQUIRE(eventually(world, [&] { return !world.sessions.find(seen.session_id())->has_clients(); }));

  auto second = world.open("/v1/exec/" + seen.session_id());
  auto third = world.open("id=" + seen.session_id());
  Seen again, also;
  CHECK(world.loop.run(World::read_until(*second, again, "hello\r\nhello")));
  CHECK(again.first_was_session_info);
  CHECK(json::parse(again.texts[0]).at("is_owner").as_bool() == false);
  world.loop.run(
      [](http::WebSocket& to) -> asio::awaitable<void> { (void)co_await to.send_binary("bye\n\x04"); }(*third));
  CHECK(world.loop.run(World::read_until(*third, also, "bye\r\nbye")));
  CHECK(world.loop.run(World::read_until(*second, again, "bye\r\nbye")));
  CHECK(world.finish(*second, again).exit == 0);
  CHECK(world.finish(*third, also).exit == 0);
}

TEST_CASE("a client that comes after the end gets the output and the exit") {
  World world;
  auto socket = world.open("detachable=true&" + shell("read line; echo late; exit 5") + "&stdin=true");
  Seen seen;
  (void)world.loop.run(World::read_one(*socket, seen));
  world.loop.run([](http::WebSocket& to) -> asio::awaitable<void> {
    (void)co_await to.send_binary(wire::exec_frame(wire::ExecStream::input, "x\n"));
    co_await to.close(1000);
  }(*socket));
  REQUIRE(eventually(world, [&] { return world.sessions.past(seen.session_id()).has_value(); }));
  const Seen later = world.exec("session_id=" + seen.session_id());
  CHECK(later.out == "late\n");
  CHECK(later.exit == 5);
}

TEST_CASE("a program without terminal ends when its client stays away") {
  World world;
  auto socket = world.open("max_run_after_disconnect=200ms&" + shell("echo $$; exec sleep 100"));
  Seen seen;
  CHECK(world.loop.run(World::read_until(*socket, seen, "\n")));
  const pid_t pid = std::stoi(pid_in(seen.out));
  world.loop.run(socket->close(1000));
  CHECK(!gone(pid));
  CHECK(eventually(world, [&] { return gone(pid); }));
  CHECK(eventually(world, [&] { return world.sessions.running().empty(); }));
}

TEST_CASE("a lost connection is a disconnect") {
  World world;
  auto socket = world.open("max_run_after_disconnect=100ms&cmd=sleep&cmd=100");
  world.loop.run_for(50ms);
  socket.reset();
  CHECK(eventually(world, [&] { return world.sessions.running().empty(); }));
}

TEST_CASE("among several clients a stalled one does not hold the others up for ever") {
  World world;
  auto owner =
      world.open("tty=true&" + shell("stty -onlcr; read line; head -c 3000000 /dev/zero | tr '\\0' x; echo END"));
  Seen seen;
  (void)world.loop.run(World::read_one(*owner, seen));
  auto stalled = world.open("/v1/exec/" + seen.session_id());  // reads nothing
  world.loop.run([](http::WebSocket& to) -> asio::awaitable<void> { (void)co_await to.send_binary("\n"); }(*owner));
  CHECK(world.loop.run(World::read_until(*owner, seen, "END")));
}

TEST_CASE("a client that joins one which has stalled is not held up for ever") {
  World world;
  auto stalled = world.open("tty=true&" + shell("head -c 3000000 /dev/zero | tr '\\0' x; echo END; read line"));
  Seen seen;
  (void)world.loop.run(World::read_one(*stalled, seen));
  world.loop.run_for(500ms);
  auto late = world.open("/v1/exec/" + seen.session_id());
  CHECK(world.loop.run(World::read_until(*late, seen, "END")));
}

TEST_CASE("kill signals a session, then kills it, and tells how") {
  World world;
  auto socket = world.open(shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
  Seen seen;
  CHECK(world.loop.run(World::read_until(*socket, seen, "ready")));
  const auto answer = world.fetch("POST", "/v1/exec/" + seen.session_id() + "/kill?signal=TERM&timeout=300ms");
  CHECK(answer.status == 200);
  CHECK(answer.content_type == "application/x-ndjson");
  std::vector<std::string> types;
  for (const std::string& line : split(trim(answer.body), '\n'))
    types.emplace_back(json::parse(line).at("type").as_string());
  CHECK(types == std::vector<std::string>{"signal", "timeout", "killed", "complete"});
  CHECK(answer.body.find("\"exit_code\":137") != std::string::npos);
  CHECK(world.finish(*socket, seen).exit == 137);
  CHECK(world.fetch("POST", "/v1/exec/" + seen.session_id() + "/kill").status == 410);
  CHECK(world.fetch("POST", "/v1/exec/nobody/kill").status == 404);
  CHECK(world.fetch("POST", "/v1/exec/nobody/kill?signal=NONE").status == 400);
}

TEST_CASE("the list shows what runs") {
  World world;
  auto socket = world.open("tty=true&dir=/tmp&cmd=sleep&cmd=100");
  const auto answer = world.fetch("GET", "/v1/exec");
  const json::value list = json::parse(answer.body);
  CHECK(list.at("count").to_number<int>() == 1);
  const json::value& session = list.at("sessions").at(0);
  CHECK(session.at("command").as_string() == "sleep 100");
  CHECK(session.at("workdir").as_string() == "/tmp");
  CHECK(session.at("tty").as_bool());
  CHECK(session.at("is_active").as_bool());
  (void)world.fetch("POST", "/v1/exec/" + std::string(session.at("id").as_string()) + "/kill?signal=KILL");
  CHECK(world.fetch("GET", "/v1/exec").body == R"({"sessions":[],"count":0})");
}

TEST_CASE("every answer names the version; HEAD answers; what is not there is 404") {
  World world;
  for (const char* target : {"/v1/exec", "/v1/nothing", "/host/status", "/v1/info"}) {
    const auto answer = world.fetch("GET", target);
    bool named = false;
    for (const auto& [name, value] : answer.headers)
      named = named || (name == "Sprite-Version" && value == SPRITE_VERSION);
    CHECK_MESSAGE(named, target);
  }
  CHECK(world.fetch("HEAD", "/v1/exec").status == 200);
  CHECK(world.fetch("GET", "/v1/nothing").status == 404);
}

TEST_CASE("exec over POST: frames, input, the exit alone") {
  World world;
  Stream stream = world.connect();
  http::Request request("POST", "/v1/exec?stdin=true&" + shell("cat; echo err >&2; exit 7"), "input");
  std::vector<std::string> chunks;
  std::function<void(std::string_view)> on_part = [&](std::string_view part) { chunks.emplace_back(part); };
  const auto answer = world.loop.run(http::fetch_streaming(stream, request, on_part));
  REQUIRE(answer);
  CHECK(answer->status == 200);
  REQUIRE(chunks.size() == 3);
  CHECK(chunks[0] == "\x01input");
  CHECK(chunks[1] ==
        "\x02"
        "err\n");
  CHECK(chunks[2] == "\x03\x07");
}

TEST_CASE("exec over POST keeps chunks below 48 KiB and refuses what needs a WebSocket") {
  World world;
  Stream stream = world.connect();
  http::Request request("POST", "/v1/exec?cmd=head&cmd=-c&cmd=1000000&cmd=/dev/zero");
  std::size_t bytes = 0, largest = 0;
  std::function<void(std::string_view)> on_part = [&](std::string_view part) {
    largest = std::max(largest, part.size());
    if (part[0] == 1) bytes += part.size() - 1;
  };
  REQUIRE(world.loop.run(http::fetch_streaming(stream, request, on_part)));
  CHECK(bytes == 1'000'000);
  CHECK(largest <= 48 * 1024);
  for (const char* query : {"tty=true&cmd=true", "id=x", "detachable=true&cmd=true"})
    CHECK(world.fetch("POST", "/v1/exec?" + std::string(query)).status == 400);
  CHECK(world.fetch("POST", "/v1/exec?cmd=cat&stdin=true", std::string(11 * 1024 * 1024, 'x')).status == 413);
}

TEST_CASE("bad requests are refused with an error, and nothing is started") {
  World world;
  for (const char* query :
       {"tty=maybe&cmd=true", "rows=many&cmd=true", "max_run_after_disconnect=soon&cmd=true", "cmd="}) {
    http::Request request("GET", "/v1/exec?" + std::string(query));
    auto socket = world.loop.run(http::open_websocket(world.connect(), request));
    REQUIRE(!socket);
    CHECK(socket.error().kind == Error::Kind::invalid);
  }
  http::Request request("GET", "/v1/exec/nobody");
  auto socket = world.loop.run(http::open_websocket(world.connect(), request));
  REQUIRE(!socket);
  CHECK(socket.error().kind == Error::Kind::not_found);
  http::Request huge("GET", "/v1/exec?cmd=echo&env=A=" + std::string(40'000, 'x'));
  CHECK(world.loop.run(http::open_websocket(world.connect(), huge)));
}

TEST_CASE("nothing is left of 200 execs: no process, no zombie, no descriptor") {
  World world;
  (void)world.exec(shell("echo warm"));
  (void)world.exec("tty=true&cmd=true");
  world.loop.run_for(50ms);
  const std::size_t files = count_entries("/proc/self/fd");
  const Path spawner_files = "/proc/" + std::to_string(world.machine->spawner_pid()) + "/fd";
  const std::size_t spawner_before = count_entries(spawner_files);
  for (int i = 0; i < 200; ++i) {
    const Seen seen = world.exec((i % 3 == 0 ? "tty=true&" : "stdin=true&") + shell("(exit 0) & echo x"));
    REQUIRE(seen.exit == 0);
  }
  CHECK(eventually(world, [&] { return count_entries("/proc/self/fd") <= files; }));
  CHECK(count_entries(spawner_files) == spawner_before);
  CHECK(eventually(world, [&] { return children_of(world.machine->spawner_pid()) == 0; }));
}

TEST_CASE("when the container dies its programs end with a clear word, and nothing new starts") {
  World world;
  auto socket = world.open("cmd=sleep&cmd=100");
  Seen seen;
  (void)world.loop.run(World::read_one(*socket, seen));
  const pid_t orphan = world.sessions.running()[0]->pid();
  ::kill(world.machine->spawner_pid(), SIGKILL);
  const Seen rest = world.finish(*socket, seen);
  CHECK(rest.exit == 137);
  CHECK(rest.err.find("inner container ended") != std::string::npos);
  CHECK(world.fetch("POST", "/v1/exec?cmd=true").status == 503);
  ::kill(orphan, SIGKILL);
}
