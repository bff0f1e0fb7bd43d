#include <doctest/doctest.h>

#include "http/client.h"
#include "http/server.h"
#include "http/url.h"

using namespace sprite;

namespace {

http::Handler nothing() {
  return [](http::Exchange&) -> asio::awaitable<void> { co_return; };
}

}  // namespace

TEST_CASE("a route is found by its segments, and its parameters are decoded") {
  http::Router router;
  router.add("GET", "/v1/sprites", nothing()).add("GET", "/v1/sprites/{name}", nothing());
  router.add("*", "/v1/sprites/{name}/{rest...}", nothing());

  CHECK(router.find("GET", "/v1/sprites").handler != nullptr);
  CHECK(router.find("GET", "/v1/sprites/").handler != nullptr);
  CHECK(router.find("GET", "/v1/sprites/a%20b").parameters.at("name") == "a b");
  CHECK(router.find("GET", "/v1/sprites/a%2Fb").parameters.at("name") == "a/b");
  const auto tail = router.find("PATCH", "/v1/sprites/x/fs/read");
  REQUIRE(tail.handler != nullptr);
  CHECK(tail.parameters.at("name") == "x");
  CHECK(tail.parameters.at("rest") == "fs/read");

  for (const char* unknown : {"/", "", "/v1", "/v2/sprites", "/v1/sprites//exec", "//v1/sprites"}) {
    CAPTURE(unknown);
    const auto match = router.find("GET", unknown);
    CHECK(match.handler == nullptr);
    CHECK(match.method_known);
  }
}

TEST_CASE("the first route that fits wins") {
  http::Router router;
  router.add("GET", "/a/{x}", nothing()).add("GET", "/a/b", nothing());
  CHECK(router.find("GET", "/a/b").parameters.count("x") == 1);
}

TEST_CASE("another method of a known path is told apart from an unknown path") {
  http::Router router;
  router.add("GET", "/a", nothing()).add("POST", "/a", nothing());
  const auto match = router.find("DELETE", "/a");
  CHECK(match.handler == nullptr);
  CHECK_FALSE(match.method_known);
  CHECK(match.allowed == std::vector<std::string>{"GET", "POST"});
}

TEST_CASE("HEAD falls back to GET unless it has a route of its own") {
  http::Router router;
  router.add("GET", "/a/{from_get}", nothing()).add("HEAD", "/a/{from_head}", nothing()).add("GET", "/b", nothing());
  CHECK(router.find("HEAD", "/a/x").parameters.count("from_head") == 1);
  CHECK(router.find("HEAD", "/b").handler != nullptr);
}

TEST_CASE("what is encoded comes back, and a broken escape stays as it is") {
  std::string every;
  for (int i = 0; i < 256; ++i) every += static_cast<char>(i);
  CHECK(http::url_decode(http::url_encode(every)) == every);
  CHECK(http::url_decode("%4") == "%4");
  CHECK(http::url_decode("%zz%41%") == "%zzA%");
  CHECK(http::url_decode("a+b") == "a+b");
}

TEST_CASE("a target is a path and a query in order") {
  const auto target = http::parse_target("/v1/x%2Fy?cmd=ls&cmd=-l&env=A%3DB+C&flag&=&x#part");
  CHECK(target.path == "/v1/x%2Fy");
  const std::vector<std::pair<std::string, std::string>> expected{{"cmd", "ls"}, {"cmd", "-l"}, {"env", "A=B C"},
                                                                  {"flag", ""},  {"", ""},      {"x", ""}};
  CHECK(target.query == expected);
}
