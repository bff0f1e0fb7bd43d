#include "api/api.h"

#include <doctest/doctest.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include "api/guest.h"
#include "base/bytes.h"
#include "base/text.h"
#include "http/client.h"
#include "unit/api/fake_sprites.h"
#include "wire/json.h"

using namespace sprite;
using namespace std::chrono_literals;

namespace {

struct World {
  explicit World(http::Guard guard = {}) : server(loop.executor(), router, std::move(guard)) {
    sprites.agent_router()
        .add("GET", "/v1/exec",
             [](http::Exchange& exchange) -> asio::awaitable<void> {
               if (!exchange.wants_upgrade()) {
                 co_await exchange.respond(
                     http::Response(200, "application/json", R"({"sessions":[{"id":"1"}],"count":1})"));
                 co_return;
               }
               auto socket = co_await exchange.upgrade();
               if (!socket) co_return;
               const std::string command = join(exchange.query_all("cmd"), " ");
               (void)co_await (*socket)->send_text(command);
               auto message = co_await (*socket)->read();
               if (message && *message) (void)co_await (*socket)->send_binary((*message)->bytes);
               co_await (*socket)->close(1000);
             })
        .add("*", "/v1/{rest...}", [](http::Exchange& exchange) -> asio::awaitable<void> {
          auto body = co_await exchange.read_body(10 * MiB);
          std::string text(exchange.head().method_string());
          text += " " + std::string(exchange.head().target()) + "\n";
          for (const auto& field : exchange.head())
            text += std::string(field.name_string()) + "=" + std::string(field.value()) + "\n";
          exchange.set_header("Sprite-Version", "agent's");
          co_await exchange.respond(
              http::Response(200, "text/plain", text + "body " + std::to_string(body ? body->size() : 0)));
        });
  }

  Stream client() {
    auto [ours, theirs] = loop.pair();
    server.serve(std::move(theirs));
    return std::move(ours);
  }
  http::Response fetch(const http::Request& request) {
    Stream stream = client();
    auto response = loop.run(http::fetch(stream, request));
    REQUIRE(response);
    return *response;
  }
  http::Response fetch(std::string method, std::string target, std::string body = "") {
    return fetch(http::Request(std::move(method), std::move(target), std::move(body)));
  }
  void create(const std::string& name) {
    REQUIRE(fetch("POST", "/v1/sprites", R"({"name":")" + name + "\"}").status == 201);
  }

  test::Loop loop;
  test::FakeSprites sprites{loop};
  http::Router router = api::make_router(sprites, 50ms);
  http::Server server;
};

std::string header(const http::Response& response, const std::string& name) {
  for (const auto& [key, value] : response.headers)
    if (key == name) return value;
  return {};
}

boost::json::object object(const http::Response& response) { return boost::json::parse(response.body).as_object(); }

}  // namespace

TEST_CASE("a sprite is created, shown, changed and deleted") {
  World world;
  const auto created = world.fetch("POST", "/v1/sprites",
                                   R"({"name":"api","labels":["x"],"config":{"cpus":2},"wait_for_capacity":true})");
  CHECK(created.status == 201);
  CHECK(wire::from_json<wire::Sprite>(created.body)->labels == std::vector<std::string>{"x"});
  const auto shown = world.fetch("GET", "/v1/sprites/api");
  CHECK(shown.status == 200);
  for (const char* field :
       {"id", "name", "organization", "status", "created_at", "updated_at", "url_settings", "version"}) {
    CAPTURE(field);
    CHECK(object(shown).contains(field));
  }
  const auto changed =
      world.fetch("PUT", "/v1/sprites/api", R"({"labels":["a","b"],"url_settings":{"auth":"public"}})");
  CHECK(changed.status == 200);
  CHECK(wire::from_json<wire::Sprite>(changed.body)->labels.size() == 2);
  CHECK(wire::from_json<wire::Sprite>(changed.body)->url_settings.auth == "public");
  CHECK(wire::from_json<wire::Sprite>(world.fetch("PUT", "/v1/sprites/api", R"({"clear_labels":true})").body)
            ->labels.empty());
  const auto gone = world.fetch("DELETE", "/v1/sprites/api");
  CHECK(gone.status == 204);
  CHECK(gone.body.empty());
  for (const char* method : {"GET", "DELETE", "PUT"}) CHECK(world.fetch(method, "/v1/sprites/api", "{}").status == 404);
}

TEST_CASE("what cannot be created is refused with the API's codes") {
  World world;
  world.create("api");
  const auto taken = world.fetch("POST", "/v1/sprites", R"({"name":"api"})");
  CHECK(taken.status == 409);
  CHECK(object(taken)["error"] == "name_taken");
  CHECK(http::error_from(taken).kind == Error::Kind::exists);
  const auto nameless = world.fetch("POST", "/v1/sprites", "{}");
  CHECK(nameless.status == 400);
  CHECK(object(nameless)["error"] == "name is required");
  CHECK(world.fetch("POST", "/v1/sprites", "not json").status == 400);
  CHECK(http::error_from(world.fetch("POST", "/v1/sprites", R"({"name":1})")).what ==
        "the field 'name' must be a text");
  CHECK(world.fetch("POST", "/v1/sprites", std::string(2'000'000, 'x')).status == 413);
  const auto full = world.fetch("POST", "/v1/sprites", R"({"name":"full"})");
  CHECK(full.status == 507);
  CHECK(http::error_from(full).hint == "remove a sprite");
}

TEST_CASE("the list comes in pages and counts everything") {
  World world;
  for (const char* name : {"a-1", "a-2", "a-3", "b-1"}) world.create(name);
  CHECK(world.fetch("POST", "/v1/sprites/a-2/stop").status == 200);
  std::vector<std::string> names;
  std::string token;
  int pages = 0;
  do {
    const auto answer = world.fetch("GET", "/v1/sprites?prefix=a-&max_results=2&continuation_token=" + token);
    const auto page = *wire::from_json<wire::SpriteList>(answer.body);
    for (const auto& sprite : page.sprites) names.push_back(sprite.name);
    CHECK(page.has_more == page.next_continuation_token.has_value());
    CHECK(page.running == 3);
    CHECK(page.org.running == 3);
    CHECK(page.org.cold == 1);
    CHECK(page.cold == 1);
    token = page.next_continuation_token.value_or("");
    ++pages;
  } while (!token.empty());
  CHECK(pages == 2);
  CHECK(names == std::vector<std::string>{"a-1", "a-2", "a-3"});
  for (const char* wrong : {"0", "-1", "x", "", "1x", "99999999999999999999999"}) {
    CAPTURE(wrong);
    CHECK(world.fetch("GET", std::string("/v1/sprites?max_results=") + wrong).status == 400);
  }
  CHECK(wire::from_json<wire::SpriteList>(world.fetch("GET", "/v1/sprites?max_results=9999").body)->sprites.size() ==
        4);
}

TEST_CASE("an empty list has every counter, too") {
  World world;
  const auto list = object(world.fetch("GET", "/v1/sprites"));
  CHECK(list.at("sprites").as_array().empty());
  CHECK(list.at("has_more") == false);
  CHECK(list.at("running") == 0);
  CHECK(list.at("org").at("cold") == 0);
  CHECK(list.at("name") == "local");
}

TEST_CASE("a watched list tells what is there, each change and a heartbeat, until the client has gone") {
  World world;
  world.create("old");
  Stream stream = world.client();
  world.loop.run(
      test::write_all(stream, "GET /v1/sprites HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n"));
  const std::string start = world.loop.run(test::read_until(stream, "\"name\":\"old\""));
  CHECK(start.find("Content-Type: application/x-ndjson") != std::string::npos);
  CHECK(world.loop.run(test::read_until(stream, "\"heartbeat\"")).find("heartbeat") != std::string::npos);
  world.create("new");
  CHECK(world.loop.run(test::read_until(stream, "\"name\":\"new\",\"status\":\"running\"")).find("\"new\"") !=
        std::string::npos);
  CHECK(world.fetch("POST", "/v1/sprites/new/stop").status == 200);
  CHECK(world.loop.run(test::read_until(stream, "\"status\":\"cold\"")).find("\"cold\":1") == std::string::npos);
  CHECK(world.fetch("DELETE", "/v1/sprites/old").status == 204);
  CHECK(world.loop.run(test::read_until(stream, "\"status\":\"destroyed\"")).find("\"name\":\"old\"") !=
        std::string::npos);
  CHECK(world.sprites.watchers() == 1);
  stream.close();
  world.loop.run_for(200ms);
  CHECK(world.sprites.watchers() == 0);
}

TEST_CASE("a sprite that is in use is not put to sleep, unless it has to") {
  World world;
  world.create("used");
  CHECK(world.fetch("POST", "/v1/sprites/used/sleep?depth=disk").status == 409);
  CHECK(object(world.fetch("GET", "/v1/sprites/used"))["status"] == "running");
  CHECK(object(world.fetch("POST", "/v1/sprites/used/sleep?depth=disk&force=true"))["status"] == "warm");
  CHECK(world.fetch("POST", "/v1/sprites/used/sleep?depth=cold").status == 409);
  CHECK(object(world.fetch("POST", "/v1/sprites/used/sleep?depth=cold&force=true"))["status"] == "cold");
}

TEST_CASE("a sprite is started, stopped, restarted and checked") {
  World world;
  world.create("api");
  CHECK(object(world.fetch("POST", "/v1/sprites/api/stop"))["status"] == "cold");
  CHECK(object(world.fetch("GET", "/v1/sprites/api/check"))["status"] == "healthy");
  CHECK(object(world.fetch("POST", "/v1/sprites/api/start"))["status"] == "running");
  const auto restarted = world.fetch("POST", "/v1/sprites/api/restart");
  CHECK(restarted.status == 200);
  CHECK(object(restarted)["sprite_name"] == "api");
  CHECK(object(restarted)["machine_id"] == "sprite-api");
  world.sprites.agent_broken = true;
  const auto sick = world.fetch("GET", "/v1/sprites/api/check");
  CHECK(sick.status == 200);
  CHECK(object(sick)["status"] == "unhealthy");
  CHECK(object(sick)["reason"] == "the agent does not answer");
  CHECK(object(sick).contains("checked_at"));
  world.sprites.agent_broken = false;
  world.sprites.able = Error(Error::Kind::corrupt, "its image is missing", "add it");
  const auto stuck = object(world.fetch("GET", "/v1/sprites/api/check"));
  CHECK(stuck.at("status") == "unhealthy");
  CHECK(stuck.at("reason") == "its image is missing; try: add it");
}

TEST_CASE("logs are the console's last lines") {
  World world;
  world.create("api");
  CHECK(world.fetch("GET", "/v1/sprites/api/logs").body == "one\ntwo\nthree\n");
  CHECK(world.fetch("GET", "/v1/sprites/api/logs?limit=2").body == "two\nthree\n");
  CHECK(world.fetch("GET", "/v1/sprites/api/logs?limit=9").body == "one\ntwo\nthree\n");
  for (const char* wrong : {"0", "x", "-1", ""})
    CHECK(world.fetch("GET", std::string("/v1/sprites/api/logs?limit=") + wrong).status == 400);
}

TEST_CASE("everything below a sprite carries Sprite-Version, errors too; nothing of it wakes without need") {
  World world;
  world.create("api");
  REQUIRE(world.fetch("POST", "/v1/sprites/api/stop").status == 200);
  CHECK(header(world.fetch("GET", "/v1/sprites/api"), "Sprite-Version") == SPRITE_VERSION);
  const auto head = world.fetch("HEAD", "/v1/sprites/api/exec");
  CHECK(head.status == 200);
  CHECK(header(head, "Sprite-Version") == SPRITE_VERSION);
  CHECK(world.fetch("HEAD", "/v1/sprites/none/exec").status == 404);
  CHECK(header(world.fetch("HEAD", "/v1/sprites/none/exec"), "Sprite-Version") == SPRITE_VERSION);
  const auto control = world.fetch("GET", "/v1/sprites/api/control");
  CHECK(control.status == 404);
  CHECK(header(control, "Sprite-Version") == SPRITE_VERSION);
  CHECK(world.fetch("GET", "/v1/sprites/api/exec").body == R"({"sessions":[],"count":0})");
  CHECK(world.sprites.connections == 0);
  CHECK(object(world.fetch("GET", "/v1/daemon"))["version"] == "9.9");
}

TEST_CASE("the rest is passed through: target, headers and body, but neither token nor keep-alive") {
  World world;
  world.create("api");
  const auto answer = world.fetch(http::Request("PUT", "/v1/sprites/api/fs/write?path=%2Fa%20b&mode=0644",
                                                std::string(3'000'000, 'x'), "application/octet-stream",
                                                {{"Authorization", "Bearer secret"}, {"X-Sprite-Thing", "kept"}}));
  CHECK(answer.status == 200);
  CHECK(answer.body.find("PUT /v1/fs/write?path=%2Fa%20b&mode=0644\n") == 0);
  CHECK(answer.body.find("X-Sprite-Thing=kept") != std::string::npos);
  CHECK(answer.body.find("Content-Type=application/octet-stream") != std::string::npos);
  CHECK(answer.body.find("Connection=close") != std::string::npos);
  CHECK(answer.body.find("secret") == std::string::npos);
  CHECK(answer.body.ends_with("body 3000000"));
  CHECK(header(answer, "Sprite-Version") == "agent's");
  CHECK(header(answer, "Connection") == "close");
  CHECK(world.fetch("GET", "/v1/sprites/api/exec").body == R"({"sessions":[{"id":"1"}],"count":1})");
  CHECK(world.fetch("GET", "/v1/sprites/none/exec").status == 404);
}

TEST_CASE("a WebSocket is passed through") {
  World world;
  world.create("api");
  const http::Request request("GET", "/v1/sprites/api/exec?cmd=echo&cmd=a%26b+c");
  auto socket = world.loop.run(http::open_websocket(world.client(), request));
  REQUIRE(socket);
  CHECK((*world.loop.run((*socket)->read()))->bytes == "echo a&b c");
  const std::string bytes(as_text(random_bytes(1'000'000)));
  CHECK(world.loop.run((*socket)->send_binary(bytes)));
  CHECK((*world.loop.run((*socket)->read()))->bytes == bytes);
  CHECK_FALSE(world.loop.run((*socket)->read())->has_value());
  CHECK((*socket)->close_code() == 1000);
}

TEST_CASE("a request is held while its sprite wakes; a failed wake is told") {
  World world;
  world.create("api");
  world.sprites.wake_time = 100ms;
  CHECK(world.fetch("GET", "/v1/sprites/api/ports").status == 200);
  world.sprites.wake_failure =
      Error(Error::Kind::unavailable, "'api' did not start in 60 s", "run `sprite logs api --boot`");
  const auto late = world.fetch("GET", "/v1/sprites/api/ports");
  CHECK(late.status == 503);
  CHECK(object(late)["error"] == "sprite_starting");
  CHECK(object(late)["sprite_id"] == "sprite-api");
  CHECK(object(late)["retry_after_seconds"] == 1);
  CHECK(header(late, "Retry-After") == "1");
  CHECK(http::error_from(late).kind == Error::Kind::unavailable);
  CHECK(http::error_from(late).hint == "run `sprite logs api --boot`");
  const http::Request request("GET", "/v1/sprites/api/exec?cmd=true");
  auto socket = world.loop.run(http::open_websocket(world.client(), request));
  REQUIRE_FALSE(socket);
  CHECK(socket.error().kind == Error::Kind::unavailable);
  world.sprites.wake_failure = Error(Error::Kind::no_space, "no memory is left");
  CHECK(world.fetch("GET", "/v1/sprites/api/ports").status == 507);
}

TEST_CASE("what did not start is not said to be starting") {
  World world;
  world.create("api");
  CHECK(world.fetch("POST", "/v1/sprites/api/stop").status == 200);
  world.sprites.wake_failure = Error(Error::Kind::unavailable, "KVM is demanded and cannot work here");
  const auto failed = world.fetch("GET", "/v1/sprites/api/ports");
  CHECK(failed.status == 503);
  CHECK(object(failed)["error"] == "unavailable");
  CHECK(header(failed, "Retry-After").empty());
}

TEST_CASE("a client that leaves ends its connection to the agent") {
  World world;
  world.create("api");
  bool reading = false, ended = false;
  http::Router& agent = world.sprites.agent_router();
  agent = {};
  agent.add("GET", "/v1/exec", [&](http::Exchange& exchange) -> asio::awaitable<void> {
    auto socket = co_await exchange.upgrade();
    if (!socket) co_return;
    reading = true;
    (void)co_await (*socket)->read();
    ended = true;
  });
  const http::Request request("GET", "/v1/sprites/api/exec?cmd=cat");
  auto socket = world.loop.run(http::open_websocket(world.client(), request));
  REQUIRE(socket);
  world.loop.run_for(20ms);
  CHECK((reading && !ended));
  socket->reset();
  world.loop.run_for(50ms);
  CHECK(ended);
}

TEST_CASE("the loopback listener wants the token, our name and no web page") {
  World world(api::loopback_guard("se/cr/et"));
  const auto status = [&](http::Headers headers) {
    std::string head = "GET /v1/daemon HTTP/1.1\r\nConnection: close\r\n";
    for (const auto& [name, value] : headers) head += name + ": " + value + "\r\n";
    Stream stream = world.client();
    world.loop.run(test::write_all(stream, head + "\r\n"));
    const std::string answer = world.loop.run(test::read_all(stream));
    return answer.size() > 12 ? answer.substr(9, 3) : answer;
  };
  const std::pair<std::string, std::string> right{"Authorization", "Bearer se/cr/et"}, here{"Host", "127.0.0.1:7777"};
  CHECK(status({here, right}) == "200");
  CHECK(status({{"Host", "localhost"}, right}) == "200");
  CHECK(status({{"Host", "localhost:1"}, {"Authorization", "bearer se/cr/et"}}) == "200");
  CHECK(status({here, right, {"Origin", "http://127.0.0.1:7777"}}) == "200");

  for (const char* wrong : {"", "Bearer", "Bearer ", "Bearer se/cr/e", "Bearer se/cr/et2", "Bearer se/cr/eT",
                            "Basic se/cr/et", "se/cr/et"}) {
    CAPTURE(wrong);
    CHECK(status({here, {"Authorization", wrong}}) == "401");
  }
  CHECK(status({here}) == "401");
  for (const char* host : {"evil.example", "evil.example:7777", "127.0.0.1.evil.example", "localhost.evil",
                           "127.0.0.1:x", "127.0.0.2", ""}) {
    CAPTURE(host);
    CHECK(status({{"Host", host}, right}) == "403");
  }
  CHECK(status({right}) == "403");
  CHECK(status({here, {"Host", "evil.example"}, right}) == "403");
  for (const char* origin :
       {"http://evil.example", "null", "https://127.0.0.1:7777", "http://127.0.0.1:8888", "http://localhost:7777"}) {
    CAPTURE(origin);
    CHECK(status({here, right, {"Origin", origin}}) == "403");
  }
  World locked(api::loopback_guard(""));
  CHECK(locked.fetch(http::Request("GET", "/v1/daemon", "", "", {{"Authorization", "Bearer "}})).status == 401);
}

TEST_CASE("unknown paths and methods are told apart") {
  World world;
  CHECK(world.fetch("GET", "/v1/spirits").status == 404);
  CHECK(world.fetch("PATCH", "/v1/sprites").status == 405);
  CHECK(world.fetch("GET", "/").status == 404);
}

namespace {

/// The lines of an answer that came line by line.
std::vector<wire::Progress> lines(const http::Response& response) {
  REQUIRE(response.status == 200);
  std::vector<wire::Progress> all;
  for (const std::string& line : split(trim(response.body), '\n')) {
    const auto read = wire::from_json<wire::Progress>(line);
    REQUIRE(read);
    CHECK(parse_time(read->time));
    all.push_back(*read);
  }
  return all;
}

std::string listed(World& world, const std::string& query = "") {
  const auto all =
      wire::from_json<std::vector<wire::Checkpoint>>(world.fetch("GET", "/v1/sprites/api/checkpoints" + query).body);
  REQUIRE(all);
  std::vector<std::string> ids;
  for (const wire::Checkpoint& each : *all) ids.push_back(each.id);
  return join(ids, " ");
}

}  // namespace

TEST_CASE("a checkpoint is made, listed, shown and deleted") {
  World world;
  world.create("api");
  const auto made = lines(world.fetch("POST", "/v1/sprites/api/checkpoint", R"({"comment":"first"})"));
  CHECK(made.front().type == "info");
  CHECK(made.back().type == "complete");
  CHECK(made.back().checkpoint_id == "v0");
  CHECK(lines(world.fetch("POST", "/v1/sprites/api/checkpoint")).back().checkpoint_id == "v1");  // a body is not needed
  const auto answer = world.fetch("GET", "/v1/sprites/api/checkpoints");
  CHECK(answer.content_type == "application/json");
  CHECK(listed(world) == "v0 v1 Current");
  const auto shown = world.fetch("GET", "/v1/sprites/api/checkpoints/v0");
  CHECK(object(shown)["comment"] == "first");
  CHECK(world.fetch("DELETE", "/v1/sprites/api/checkpoints/v1").status == 409);
  const auto gone = world.fetch("DELETE", "/v1/sprites/api/checkpoints/v0");
  CHECK(gone.status == 204);
  CHECK(gone.body.empty());
  for (const char* method : {"GET", "DELETE"})
    CHECK(world.fetch(method, "/v1/sprites/api/checkpoints/v0").status == 404);
}

TEST_CASE("a failure after the first line is the last line") {
  World world;
  world.create("api");
  const auto failed = lines(world.fetch("POST", "/v1/sprites/api/checkpoint", R"({"comment":"full"})"));
  CHECK(failed.back().type == "error");
  CHECK(failed.back().error == "no space is left");
  CHECK(failed.back().data == "try: remove a sprite");
  CHECK(world.fetch("POST", "/v1/sprites/none/checkpoint").status == 404);
  CHECK(world.fetch("POST", "/v1/sprites/api/checkpoint", "[]").status == 400);
}

TEST_CASE("one checkpoint too many is refused with a status, and says what to do") {
  World world;
  world.create("api");
  world.sprites.checkpoints_max = 1;
  CHECK(world.fetch("POST", "/v1/sprites/api/checkpoint").status == 200);
  const auto refused = world.fetch("POST", "/v1/sprites/api/checkpoint");
  CHECK(refused.status == 507);
  CHECK(http::error_from(refused).hint == "delete some");
}

TEST_CASE("a guest that does not answer is told of") {
  World world;
  world.create("api");
  world.sprites.guest_silent = true;
  const auto made = lines(world.fetch("POST", "/v1/sprites/api/checkpoint"));
  CHECK(std::ranges::any_of(made, [](const auto& line) { return line.data.value_or("").starts_with("Warning: "); }));
}

TEST_CASE("what has to wait says for what") {
  World world;
  world.create("api");
  const auto says_so = [&](const std::string& target) {
    const auto said = lines(world.fetch("POST", "/v1/sprites/api" + target));
    return std::ranges::any_of(
        said, [](const auto& line) { return line.data == "Waiting for the restore of 'api' to end..."; });
  };
  CHECK_FALSE(says_so("/checkpoint"));
  world.sprites.occupied = "restore";
  for (const char* target : {"/checkpoint", "/checkpoints/v0/restore", "/fsck"}) CHECK(says_so(target));
}

TEST_CASE("the template of an image is made on request") {
  World world;
  const auto made = world.fetch("POST", "/v1/images/there/template");
  CHECK(made.status == 200);
  CHECK(made.body == R"({"outcome":"made"})");
  CHECK(world.fetch("POST", "/v1/images/gone/template").status == 404);
}

TEST_CASE("a restore that brings programs back says so") {
  World world;
  world.create("api");
  (void)world.fetch("POST", "/v1/sprites/api/checkpoint");
  world.sprites.restores_programs = true;
  CHECK(lines(world.fetch("POST", "/v1/sprites/api/checkpoints/v0/restore")).back().memory.value_or(false));
}

TEST_CASE("a restore tells what it kept; automatic checkpoints are hidden until asked for") {
  World world;
  world.create("api");
  for (int i = 0; i < 3; ++i) (void)world.fetch("POST", "/v1/sprites/api/checkpoint");
  CHECK(listed(world, "?history=v1") == "v0 v1");
  const auto restored = lines(world.fetch("POST", "/v1/sprites/api/checkpoints/v1/restore"));
  CHECK(restored.back().type == "complete");
  CHECK(restored.back().checkpoint_id == "auto-3");
  CHECK_FALSE(restored.back().memory);
  CHECK(listed(world) == "v0 v1 v2 Current");
  CHECK(listed(world, "?includeAuto=true") == "v0 v1 v2 auto-3 Current");
  CHECK(world.fetch("POST", "/v1/sprites/api/checkpoints/v9/restore").status == 404);
  CHECK(world.fetch("POST", "/v1/sprites/api/checkpoints/Current/restore").status == 400);
  CHECK(world.fetch("GET", "/v1/sprites/api/checkpoints?history=v9").status == 404);
}

TEST_CASE("sprites are forked, exported, imported and measured") {
  World world;
  world.create("api");
  const auto forked = world.fetch("POST", "/v1/sprites/api/fork", R"({"name":"copy","checkpoint":"v2"})");
  CHECK(forked.status == 201);
  CHECK(object(forked)["detail"] == "from api@v2");
  const auto taken = world.fetch("POST", "/v1/sprites/api/fork", R"({"name":"copy"})");
  CHECK(taken.status == 409);
  CHECK(object(taken)["error"] == "name_taken");
  CHECK(world.fetch("POST", "/v1/sprites/api/export", R"({"path":"/x/y"})").status == 204);
  CHECK(world.sprites.exported_to == "/x/y");
  CHECK(world.fetch("POST", "/v1/import", R"({"path":"/x/y","name":"again"})").status == 201);
  CHECK(world.fetch("POST", "/v1/import", R"({"path":"/x/y","name":"again"})").status == 409);
  CHECK(object(world.fetch("GET", "/v1/sprites/api/usage"))["local_bytes"] == 4096);
  const auto all = wire::from_json<wire::UsageReport>(world.fetch("GET", "/v1/usage").body);
  REQUIRE(all);
  CHECK(all->sprites.size() == 3);
  CHECK(all->packs.bytes_removed == 200);
  CHECK(object(world.fetch("POST", "/v1/gc", R"({"dry_run":true})"))["dry_run"] == true);
  CHECK(object(world.fetch("POST", "/v1/gc"))["dry_run"] == false);
}

TEST_CASE("a check of the filesystem tells what it found, and fails where it could not mend") {
  World world;
  world.create("api");
  const auto clean = lines(world.fetch("POST", "/v1/sprites/api/fsck"));
  REQUIRE(clean.size() == 4);
  CHECK(clean[1].data == "e2fsck: Pass 1: Checking inodes, blocks, and sizes");
  CHECK(clean.back().type == "complete");
  CHECK(clean.back().checkpoint_id == "auto-0");
  CHECK(clean.back().data == "The filesystem is clean");
  world.sprites.filesystem_status = 1;
  CHECK(lines(world.fetch("POST", "/v1/sprites/api/fsck")).back().data ==
        "The filesystem had errors, which are mended");
  world.sprites.filesystem_status = 4;
  CHECK(lines(world.fetch("POST", "/v1/sprites/api/fsck")).back().type == "error");
  CHECK(world.fetch("POST", "/v1/sprites/none/fsck").status == 404);
}

TEST_CASE("a guest reaches its own checkpoints and nothing else") {
  World world;
  for (const char* name : {"api", "other"}) world.create(name);
  (void)world.fetch("POST", "/v1/sprites/other/checkpoint");
  api::GuestApi guests(world.loop.executor(), world.sprites);
  const auto ask = [&](std::string method, std::string target, std::string body = "") {
    auto [ours, theirs] = world.loop.pair();
    world.sprites.serve_guest("api", std::move(theirs));
    http::Request request(std::move(method), std::move(target), std::move(body));
    Stream stream = std::move(ours);
    auto response = world.loop.run(http::fetch(stream, request));
    REQUIRE(response);
    return *response;
  };
  CHECK(lines(ask("POST", "/v1/checkpoint", R"({"comment":"inside"})")).back().checkpoint_id == "v1");
  CHECK(listed(world) == "v1 Current");
  CHECK(ask("GET", "/v1/checkpoints").body.find("inside") != std::string::npos);
  CHECK(ask("GET", "/v1/checkpoints/v0").status == 404);  // the other's
  const auto restored = ask("POST", "/v1/checkpoints/v1/restore");
  CHECK(restored.status == 202);
  world.loop.run_for(20ms);  // it goes on behind
  CHECK(listed(world, "?includeAuto=true") == "v1 auto-2 Current");
  CHECK(ask("POST", "/v1/checkpoints/v9/restore").status == 404);
  for (const char* target : {"/v1/sprites", "/v1/sprites/other", "/v1/sprites/other/checkpoints", "/v1/usage", "/v1/gc",
                             "/v1/daemon", "/v1/sprites/api/exec"}) {
    CAPTURE(target);
    CHECK(ask("GET", target).status == 404);
    CHECK(ask("POST", target, "{}").status == 404);
  }
}
