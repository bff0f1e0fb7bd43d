/// What every user of this machine can read of a call of the API holds no token, and curl has it all the same.
#include "cli/curl.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/file.h"

using namespace sprite;
using namespace sprite::cli;

TEST_CASE("curl's arguments hold no token, and name a file that does") {
  http::Endpoint endpoint;
  endpoint.host = "127.0.0.1";
  endpoint.port = 4321;
  endpoint.token = "secret";
  const auto call = curl_call(endpoint, "/v1", "/sprites", {"--request", "GET"});
  REQUIRE(call);
  for (const std::string& word : call->argv) CHECK(word.find("secret") == std::string::npos);
  CHECK(call->argv.back() == "http://127.0.0.1:4321/v1/sprites");

  const auto header = std::ranges::find(call->argv, "--header");
  REQUIRE(header != call->argv.end());
  REQUIRE(std::next(header)->starts_with("@/dev/fd/"));
  CHECK(*read_file(std::next(header)->substr(1)) == "Authorization: Bearer secret\n");
}

TEST_CASE("without a token curl gets no header") {
  http::Endpoint endpoint;
  endpoint.unix_socket = "/run/sprite/daemon.sock";
  const auto call = curl_call(endpoint, "", "/sprites", {});
  REQUIRE(call);
  CHECK(std::ranges::find(call->argv, "--header") == call->argv.end());
  CHECK(std::ranges::find(call->argv, "--unix-socket") != call->argv.end());
}
