#include "wire/json.h"

#include <doctest/doctest.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

using namespace sprite;
using namespace sprite::wire;

namespace {

Sprite full_sprite() {
  Sprite sprite;
  sprite.id = "sprite-1";
  sprite.name = "api";
  sprite.organization = "local";
  sprite.url = "http://api.localhost";
  sprite.url_settings = {"public", "admins"};
  sprite.status = "running";
  sprite.created_at = "2026-06-02T17:11:17.821Z";
  sprite.updated_at = "2026-06-02T17:11:18.821Z";
  sprite.last_running_at = "2026-06-02T17:11:19.821Z";
  sprite.last_warming_at = "2026-06-02T17:11:20.821Z";
  sprite.version = "1";
  sprite.environment_version = "2";
  sprite.labels = {"a", "b"};
  sprite.config = {4096, 4, "here", 100};
  sprite.environment = {{"KEY", "value \"quoted\" \n \xc3\xa9"}};
  sprite.image = "base@abc";
  sprite.detail = "booting";
  sprite.disk_used_bytes = 18'000'000'000'000'000'000ULL;
  sprite.sleep_after = sprite.sleep_deep_after = "never";
  sprite.next_change = "paused";
  sprite.next_change_at = sprite.timer_due_at = "2026-01-02T03:04:05.678Z";
  return sprite;
}

/// The names of the fields that `json` holds.
std::size_t fields_of(const std::string& json) { return boost::json::parse(json).as_object().size(); }

std::string error_of(const Result<CreateRequest>& result) {
  REQUIRE_FALSE(result);
  CHECK(result.error().kind == Error::Kind::invalid);
  return result.error().what;
}

}  // namespace

TEST_CASE("a struct comes back from its JSON as it was") {
  const std::string json = to_json(full_sprite());
  CHECK(json.find('\n') == std::string::npos);
  const auto back = from_json<Sprite>(json);
  REQUIRE(back);
  CHECK(to_json(*back) == json);
  CHECK(back->config.ram_mb == 4096);
  CHECK(back->environment.at("KEY") == full_sprite().environment.at("KEY"));
  CHECK(back->disk_used_bytes == 18'000'000'000'000'000'000ULL);
  CHECK(back->url_settings.private_access == "admins");
}

TEST_CASE("every field is written") {
  CHECK(fields_of(to_json(full_sprite())) == 25);
  CHECK(fields_of(to_json(DaemonStatus{})) == 12);
  CHECK(fields_of(to_json(Configure{})) == 11);
  CHECK(fields_of(to_json(ShownCheckpoint{})) == 2);
  CHECK(fields_of(to_json(DifferenceRequest{{}, ShownCheckpoint{}})) == 2);
  CHECK(fields_of(to_json(Difference{})) == 2);
  CHECK(fields_of(to_json(DiskCheck{})) == 2);
  CHECK(fields_of(to_json(Activity{})) == 2);
  CHECK(fields_of(to_json(Task{})) == 3);
  CHECK(fields_of(to_json(TaskList{})) == 1);
  CHECK(fields_of(to_json(AgentStatus{})) == 6);
  CHECK(fields_of(to_json(Session{})) == 8);
  CHECK(fields_of(to_json(CreateRequest{})) == 5);
  CHECK(fields_of(to_json(Check{})) == 4);
  CHECK(fields_of(to_json(Checkpoint{"v1", "t", "c", "v0", "", true, true, true, std::vector<std::string>{"v0"}})) ==
        9);
  CHECK(fields_of(to_json(Progress{"complete", "d", "e", "t", "v1", true})) == 6);
  CHECK(fields_of(to_json(TemplateMade{})) == 1);
  CHECK(fields_of(to_json(CheckpointRequest{"c"})) == 1);
  CHECK(fields_of(to_json(ForkRequest{"a", "v1"})) == 2);
  CHECK(fields_of(to_json(ExportRequest{})) == 1);
  CHECK(fields_of(to_json(ImportRequest{"/f", "a"})) == 2);
  Usage usage;
  usage.trouble = "none";
  CHECK(fields_of(to_json(usage)) == 10);
  CHECK(fields_of(to_json(CollectRequest{})) == 1);
  CHECK(fields_of(to_json(Collected{})) == 5);
  CHECK(fields_of(to_json(UsageReport{})) == 2);
}

TEST_CASE("an empty optional is left out, an empty list is not") {
  const std::string json = to_json(Sprite{});
  CHECK(json.find("last_running_at") == std::string::npos);
  CHECK(json.find("\"labels\":[]") != std::string::npos);
  CHECK(json.find("null") == std::string::npos);
}

TEST_CASE("unknown fields are ignored, missing and null ones keep their defaults") {
  const auto request = from_json<CreateRequest>(
      R"({"name":"x","wait_for_capacity":true,"labels":null,"url_settings":{"auth":"public","more":[1]},"config":{"cpus":2}})");
  REQUIRE(request);
  CHECK(request->name == "x");
  CHECK(request->labels.empty());
  CHECK(request->url_settings.auth == "public");
  CHECK(request->config.cpus == 2);
  CHECK_FALSE(request->config.ram_mb.has_value());
  CHECK(from_json<CreateRequest>("{}")->url_settings.auth == "sprite");
}

TEST_CASE("an update tells no labels from no change") {
  CHECK_FALSE(from_json<UpdateRequest>("{}")->labels.has_value());
  CHECK(from_json<UpdateRequest>(R"({"labels":[]})")->labels->empty());
}

TEST_CASE("a field of the wrong type is named") {
  CHECK(error_of(from_json<CreateRequest>(R"({"name":7})")) == "the field 'name' must be a text");
  CHECK(error_of(from_json<CreateRequest>(R"({"url_settings":{"auth":[]}})")) ==
        "the field 'url_settings.auth' must be a text");
  CHECK(error_of(from_json<CreateRequest>(R"({"labels":["a",1]})")) == "the field 'labels[1]' must be a text");
  CHECK(error_of(from_json<CreateRequest>(R"({"labels":{}})")) == "the field 'labels' must be a list");
  CHECK(error_of(from_json<CreateRequest>(R"({"environment":{"A":1}})")) == "the field 'environment.A' must be a text");
  CHECK(error_of(from_json<CreateRequest>(R"({"config":{"ram_mb":-1}})")) ==
        "the field 'config.ram_mb' must be a whole number, 0 or more");
  CHECK(error_of(from_json<CreateRequest>(R"({"config":{"cpus":1.5}})")) ==
        "the field 'config.cpus' must be a whole number, 0 or more");
  CHECK(error_of(from_json<CreateRequest>(R"({"config":{"cpus":1e30}})")) ==
        "the field 'config.cpus' must be a whole number, 0 or more");
  CHECK(error_of(from_json<CreateRequest>("[]")) == "the body must be an object");
}

TEST_CASE("what is not JSON is refused, however deep") {
  for (const std::string& wrong : {std::string(), std::string("{"), std::string("{} {}"), std::string("{'name':1}"),
                                   std::string(100'000, '['), std::string("{\"name\":\"\xff\"}")})
    CHECK(error_of(from_json<CreateRequest>(wrong)) == "the body is not proper JSON");
}

TEST_CASE("numbers keep their value") {
  Configure configure;
  configure.realtime_ns = 1'780'000'000'123'456'789;
  CHECK(from_json<Configure>(to_json(configure))->realtime_ns == configure.realtime_ns);
  AgentStatus status;
  status.uptime_s = 0.125;
  CHECK(from_json<AgentStatus>(to_json(status))->uptime_s == 0.125);
  CHECK(from_json<AgentStatus>(R"({"uptime_s":3})")->uptime_s == 3);
}
