// What a guest can do to the daemon by talking too much, too slowly or not at all.
#include "api/guest.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "http/client.h"
#include "unit/api/fake_sprites.h"

using namespace sprite;
using namespace std::chrono_literals;

namespace {

http::Limits impatient() {
  http::Limits limits = api::guest_limits();
  limits.head = limits.idle = limits.body = limits.send = limits.linger = 200ms;
  return limits;
}

struct World {
  explicit World(http::Limits limits = impatient()) : guests(loop.executor(), sprites, limits) {
    for (const char* name : {"box", "other"}) {
      wire::CreateRequest request;
      request.name = name;
      REQUIRE(loop.run(sprites.create(request)));
    }
  }
  Stream open(const std::string& name = "box") {
    auto [ours, theirs] = loop.pair();
    sprites.serve_guest(name, std::move(theirs));
    return std::move(ours);
  }
  http::Response ask(std::string method, std::string target, std::string body = "", const std::string& name = "box") {
    const http::Request request(std::move(method), std::move(target), std::move(body));
    Stream stream = open(name);
    auto response = loop.run(http::fetch(stream, request));
    REQUIRE(response);
    return *response;
  }

  test::Loop loop;
  test::FakeSprites sprites{loop};
  api::GuestApi guests;
};

const std::string post = "POST /v1/checkpoint HTTP/1.1\r\nHost: x\r\n";

}  // namespace

TEST_CASE("of a guest's many connections eight are held, none for long; another guest is served meanwhile") {
  World world;
  std::vector<Stream> many;
  for (int i = 0; i < 100; ++i) {
    many.push_back(world.open());
    (void)world.loop.run(test::write_all(many.back(), "GET /v1/check"));
  }
  world.loop.run_for(20ms);
  CHECK(world.guests.connections() == 8);
  CHECK(world.ask("GET", "/v1/checkpoints", "", "other").status == 200);
  world.loop.run_for(400ms);
  CHECK(world.guests.connections() == 0);
  CHECK(world.ask("GET", "/v1/checkpoints").status == 200);
}

TEST_CASE("a guest that sends nothing, half a body or no end is let go") {
  for (const std::string& start :
       {std::string(), post, post + "Content-Length: 9\r\n\r\n{", post + "Transfer-Encoding: chunked\r\n\r\n5\r\n{"}) {
    CAPTURE(start);
    World world;
    Stream stream = world.open();
    world.loop.run(test::write_all(stream, start));
    world.loop.run_for(20ms);
    CHECK(world.guests.connections() == 1);
    world.loop.run_for(600ms);
    CHECK(world.guests.connections() == 0);
  }
}

TEST_CASE("a guest's request is small") {
  World world;
  CHECK(world.ask("POST", "/v1/checkpoint", std::string(17 * KiB, ' ')).status == 413);
  CHECK(world.ask("GET", "/v1/checkpoints?" + std::string(9 * KiB, 'x')).status == 431);
  CHECK(world.ask("POST", "/v1/checkpoint", R"({"comment":")" + std::string(4000, 'x') + "\"}").status == 200);
}

TEST_CASE("a line that does not end is not kept") {
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& start : {chunked + "5;", chunked + "0\r\nTrailer: "}) {
    CAPTURE(start);
    http::Limits patient = impatient();
    patient.body = 10s;
    World world(patient);
    Stream stream = world.open();
    REQUIRE(world.loop.run(test::write_all(stream, start + std::string(300 * KiB, 'x'))));
    CHECK(world.loop.run(test::read_until(stream, "\r\n")).starts_with("HTTP/1.1 400 "));
    CHECK(world.loop.run(test::read_all(stream)).find("a line does not end") != std::string::npos);
  }
}

TEST_CASE("a guest that does not read its answer is let go") {
  World world;
  wire::CheckpointRequest request;
  request.comment = std::string(4000, 'x');
  for (int i = 0; i < 300; ++i) REQUIRE(world.loop.run(world.sprites.checkpoint("box", request)));
  Stream stream = world.open();
  world.loop.run(test::write_all(stream, "GET /v1/checkpoints HTTP/1.1\r\nHost: x\r\n\r\n"));
  world.loop.run_for(20ms);
  CHECK(world.guests.connections() == 1);
  world.loop.run_for(700ms);
  CHECK(world.guests.connections() == 0);
}

TEST_CASE("one request of a guest is worked on at a time, and one restore waits for its end") {
  World world;
  world.sprites.checkpoint_time = 20ms;
  std::vector<Stream> streams;
  for (int i = 0; i < 8; ++i) {
    streams.push_back(world.open());
    world.loop.run(test::write_all(streams.back(), post + "Content-Length: 0\r\nConnection: close\r\n\r\n"));
  }
  for (Stream& stream : streams)
    CHECK(world.loop.run(test::read_all(stream)).find("\"complete\"") != std::string::npos);
  CHECK(world.sprites.most_under_way == 1);
  streams.clear();
  world.loop.run_for(20ms);
  CHECK(world.ask("POST", "/v1/checkpoints/v0/restore").status == 202);
  CHECK(world.ask("POST", "/v1/checkpoints/v0/restore").status == 409);
  world.loop.run_for(60ms);
  CHECK(world.ask("POST", "/v1/checkpoints/v0/restore").status == 202);
  world.loop.run_for(60ms);
}
