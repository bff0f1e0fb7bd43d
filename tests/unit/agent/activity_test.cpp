#include "agent/activity.h"

#include <doctest/doctest.h>

#include "support/temporary_directory.h"
#include "unit/agent/world.h"
#include "wire/json.h"

using namespace sprite;
using namespace sprite::agent;
using namespace std::chrono_literals;

namespace {

void use(const Path& group, std::uint64_t processor_us, std::uint64_t disk_bytes) {
  REQUIRE(write_file_atomically(group / "cpu.stat", "usage_usec " + std::to_string(processor_us) + "\nuser_usec 1\n"));
  REQUIRE(write_file_atomically(
      group / "io.stat", "254:0 rbytes=0 wbytes=" + std::to_string(disk_bytes) + " rios=1 wios=1 dbytes=9 dios=9\n"));
}

Result<wire::Task> hold(Tasks& tasks, const std::string& name, std::chrono::milliseconds time, Tasks::Time now,
                        Tasks::IfTaken if_taken = Tasks::IfTaken::refuse) {
  return tasks.hold(name, time, if_taken, now);
}

}  // namespace

TEST_CASE("what programs have used is read from their control group's files") {
  const Consumption used = parse_consumption("usage_usec 1234\nuser_usec 1000\n",
                                             "254:0 rbytes=10 wbytes=20 rios=1\n254:16 rbytes=1 wbytes=2 dbytes=9\n");
  CHECK(used.processor_us == 1234);
  CHECK(used.disk_bytes == 33);
  CHECK(parse_consumption("", "").processor_us == 0);
  CHECK(parse_consumption("usage_usec x\n", "rbytes=\n").disk_bytes == 0);
}

TEST_CASE("programs are at work from a twentieth of a processor on, or with the disk in use") {
  CHECK(work_between({0, 0}, {99'000, 0}, 2s).empty());
  CHECK(work_between({0, 0}, {100'000, 0}, 2s) == "programs use the processor");
  CHECK(work_between({0, 0}, {0, 255 * KiB}, 2s).empty());
  CHECK(work_between({0, 0}, {0, 256 * KiB}, 2s) == "programs use the disk");
  CHECK(work_between({5'000'000, 5'000'000}, {0, 0}, 2s).empty());  // of a container that was started anew
}

TEST_CASE("a machine is idle since programs were last at work") {
  test::TemporaryDirectory group;
  test::World world;
  use(group.path(), 0, 0);
  ActivityMeter meter(world.loop.executor(), world.sessions, world.tasks, group.path());
  meter.look();
  world.loop.run_for(600ms);
  use(group.path(), 1000, 0);
  CHECK(meter.look().idle_s >= 0.5);
  CHECK(meter.look().reason.empty());
  world.loop.run_for(600ms);
  use(group.path(), 700'000, 0);
  const wire::Activity busy = meter.look();
  CHECK(busy.idle_s < 0.5);
  CHECK(busy.reason == "programs use the processor");
}

TEST_CASE("a session that reads or writes is activity; one that is silent is not for long") {
  test::World world;
  auto socket = world.open("tty=true&" + test::shell("echo one; sleep 0.7; echo two; sleep 5"));
  test::Seen seen;
  REQUIRE(world.loop.run(test::World::read_until(*socket, seen, "one")));
  CHECK(world.activity.look().reason == "session " + seen.session_id() + " reads or writes");
  world.loop.run_for(500ms);
  CHECK(world.activity.look().idle_s >= 0.4);
  REQUIRE(world.loop.run(test::World::read_until(*socket, seen, "two")));
  const auto after = wire::from_json<wire::Activity>(world.fetch("GET", "/host/activity").body);
  REQUIRE(after);
  CHECK(after->idle_s < 0.4);
}

TEST_CASE("a task is there until it expires; its name is taken as long") {
  Tasks tasks;
  const Tasks::Time now = std::chrono::system_clock::now();
  REQUIRE(hold(tasks, "a", 10s, now));
  CHECK(hold(tasks, "a", 10s, now).error().kind == Error::Kind::exists);
  REQUIRE(hold(tasks, "a", 20s, now + 1s, Tasks::IfTaken::replace));
  REQUIRE(hold(tasks, "b", 5s, now));
  CHECK(tasks.last(now)->name == "a");
  CHECK(tasks.list(now).tasks.size() == 2);
  CHECK(tasks.list(now + 6s).tasks.size() == 1);
  CHECK(tasks.find("a", now + 20s));
  CHECK_FALSE(tasks.find("a", now + 21s));
  CHECK_FALSE(tasks.remove("a", now + 21s));
  CHECK_FALSE(tasks.last(now + 21s));
}

TEST_CASE("no task lasts longer than an hour, and there are not too many") {
  Tasks tasks;
  const Tasks::Time now = std::chrono::system_clock::now();
  CHECK(hold(tasks, "a", 1h, now));
  for (const auto time : {std::chrono::milliseconds(1h) + 1ms, 0ms, -5ms})
    CHECK(hold(tasks, "b", time, now).error().kind == Error::Kind::invalid);
  for (const std::string& name : {std::string(), std::string("a\nb"), std::string("\xff"), std::string(201, 'a')})
    CHECK(hold(tasks, name, 1s, now).error().kind == Error::Kind::invalid);
  for (int i = 0; i < 999; ++i) REQUIRE(hold(tasks, std::to_string(i), 1s, now));
  CHECK(hold(tasks, "one more", 1s, now).error().kind == Error::Kind::no_space);
  CHECK(hold(tasks, "one more", 1s, now + 1s));
}

TEST_CASE("tasks are made, renewed, listed and deleted over HTTP, and are activity") {
  test::World world;
  CHECK(world.fetch("GET", "/v1/tasks").body == R"({"tasks":[]})");
  CHECK(world.fetch("POST", "/v1/tasks", R"({"name":"backup","expire":"30m"})").status == 201);
  CHECK(world.fetch("POST", "/v1/tasks", R"({"name":"backup","expire":60})").status == 409);
  CHECK(world.fetch("PUT", "/v1/tasks/backup", R"({"expire":60})").status == 200);
  CHECK(world.fetch("PUT", "/v1/tasks", R"({"name":"other","expire":"2s"})").status == 200);
  const http::Response one = world.fetch("GET", "/v1/tasks/backup");
  CHECK(one.status == 200);
  CHECK(wire::from_json<wire::Task>(one.body)->name == "backup");
  CHECK(wire::from_json<wire::TaskList>(world.fetch("GET", "/v1/tasks").body)->tasks.size() == 2);
  const wire::Activity busy = world.activity.look();
  CHECK(busy.idle_s == 0);
  CHECK(busy.reason.starts_with("task 'backup' until 20"));
  CHECK(world.fetch("DELETE", "/v1/tasks/backup").status == 204);
  CHECK(world.fetch("DELETE", "/v1/tasks/backup").status == 404);
  CHECK(world.fetch("GET", "/v1/tasks/backup").status == 404);
  for (const char* body :
       {"", "[]", "{}", R"({"name":"a"})", R"({"expire":5})", R"({"name":"a","expire":"soon"})",
        R"({"name":"a","expire":3601})", R"({"name":"a","expire":0})", R"({"name":"a","expire":[]})"})
    CHECK(world.fetch("POST", "/v1/tasks", body).status == 400);
}
