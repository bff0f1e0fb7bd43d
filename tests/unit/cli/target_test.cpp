#include "cli/target.h"

#include <doctest/doctest.h>

#include "base/text.h"
#include "cli/context.h"
#include "cli/follow.h"
#include "cli/names.h"
#include "support/temporary_directory.h"

using namespace sprite;
using namespace sprite::cli;

TEST_CASE("a directory's target is written, read and removed") {
  const test::TemporaryDirectory here;
  CHECK_FALSE(read_target(here.path())->has_value());
  REQUIRE(write_target(here.path(), {"me", "box"}));
  CHECK(read_target(here.path())->value().sprite == "box");
  CHECK(read_target(here.path())->value().organization == "me");
  CHECK(std::filesystem::is_regular_file(here / ".sprite"));
  CHECK(*remove_target(here.path()));
  CHECK_FALSE(*remove_target(here.path()));
}

TEST_CASE("a folder called .sprite breaks nothing") {
  const test::TemporaryDirectory here;
  std::filesystem::create_directory(here / ".sprite");
  CHECK_FALSE(read_target(here.path())->has_value());
  CHECK_FALSE(*remove_target(here.path()));
  REQUIRE(write_target(here.path(), {"me", "box"}));
  CHECK(read_target(here.path())->value().sprite == "box");
}

TEST_CASE("a .sprite that names nothing is an error with a way out") {
  const test::TemporaryDirectory here;
  for (const char* text : {"", "{}", "[1]", "{\"sprite\": 3}", "{"}) {
    REQUIRE(write_file_atomically(here / ".sprite", text));
    const auto target = read_target(here.path());
    REQUIRE_FALSE(target);
    CHECK(target.error().kind == Error::Kind::invalid);
    CHECK(target.error().hint.find("sprite use") != std::string::npos);
  }
}

TEST_CASE("who typed no name is told that it is from .sprite") {
  const test::TemporaryDirectory here;
  REQUIRE(write_target(here.path(), {"me", "box"}));
  const Error missing{Error::Kind::not_found, "no sprite is called 'box'", "run `sprite list` to see the names", {}};
  const Error told = explained_by_target(missing, {"info"}, here.path());
  REQUIRE(told.because.size() == 1);
  CHECK(told.because[0].find(".sprite' names it") != std::string::npos);
  CHECK(told.hint.find("sprite use NAME") != std::string::npos);
  CHECK(explained_by_target(missing, {"info", "--sprite=box"}, here.path()).because.empty());
  const Error other{Error::Kind::not_found, "there is no checkpoint 'v7'", "", {}};
  CHECK(explained_by_target(other, {"restore", "v7"}, here.path()).because.empty());
}

TEST_CASE("another server is named by its URL") {
  const auto client = client_for_url("http://127.0.0.1:8080/", "secret");
  REQUIRE(client);
  CHECK(client->endpoint().host == "127.0.0.1");
  CHECK(client->endpoint().port == 8080);
  CHECK(client->path_prefix().empty());
  const auto request = client_for_url("http://host/a/b/", "secret")->prepared({"GET", "/v1/x", "", "", {}});
  CHECK(request.target == "/a/b/v1/x");
  CHECK(request.headers[0] == std::pair<std::string, std::string>("Authorization", "Bearer secret"));
  CHECK(client_for_url("http://host", "")->prepared({"GET", "/", "", "", {}}).headers.empty());
  for (const char* wrong :
       {"https://api.example", "ftp://x", "host:80", "http://", "http://h:0", "http://h:99999", "http://h:x"}) {
    CAPTURE(wrong);
    REQUIRE_FALSE(client_for_url(wrong, ""));
    CHECK(client_for_url(wrong, "").error().kind == Error::Kind::invalid);
  }
}

TEST_CASE("the environment names another server, SPRITE_URL first") {
  const auto in = [](std::map<std::string, std::string> variables) {
    return [variables](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
  };
  CHECK_FALSE(client_from_environment(in({{"SPRITE_TOKEN", "t"}}))->has_value());
  const auto client = client_from_environment(
      in({{"SPRITES_API_URL", "http://b:2"}, {"SPRITE_URL", "http://a:1"}, {"SPRITE_TOKEN", "t"}}));
  CHECK((*client)->endpoint().host == "a");
  CHECK((*client)->endpoint().token == "t");
  CHECK_FALSE(client_from_environment(in({{"SPRITE_URL", "https://a"}})));
}

TEST_CASE("random names are names") {
  for (int i = 0; i < 2000; ++i) CHECK(check_sprite_name(random_name()));
  CHECK(random_name() + random_name() != random_name() + random_name());
}

TEST_CASE("columns are counted as a terminal shows them") {
  CHECK(width_of("abc") == 3);
  CHECK(width_of("✓ ä") == 3);
  CHECK(width_of("\033[32mok\033[0m") == 2);
}
