// An agent may be anybody's: whatever it answers, a call ends in time, holds little and tells little.
#include "sprite/agent_client.h"

#include <doctest/doctest.h>

#include "base/bytes.h"
#include "unit/http/loop.h"

using namespace sprite;
using namespace std::chrono_literals;

namespace {

struct Outcome {
  Result<wire::AgentStatus> status;
  std::chrono::steady_clock::duration took;
  std::size_t taken = 0;  ///< Of what the agent sent.
};

asio::awaitable<void> answer(Stream stream, std::string first, std::string again, std::size_t& taken) {
  bool goes_on = co_await test::write_all(stream, first);
  while (goes_on && !again.empty() && taken < 64 * MiB) {
    goes_on = co_await test::write_all(stream, again);
    taken += again.size();
  }
  co_await test::sleep(5s);  // and says no more
}

/// Asks an agent that answers with `first`, then with `again` as often as that is taken.
Outcome ask(const std::string& first, const std::string& again = "") {
  test::Loop loop;
  auto [ours, theirs] = loop.pair();
  Outcome outcome{Error(), {}, 0};
  asio::co_spawn(loop.executor(), answer(std::move(theirs), first, again, outcome.taken), asio::detached);
  const auto begun = std::chrono::steady_clock::now();
  outcome.status = loop.run(agent_client::status(std::move(ours), 300ms));
  outcome.took = std::chrono::steady_clock::now() - begun;
  return outcome;
}

std::string whole(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

}  // namespace

TEST_CASE("an agent that is well is heard") {
  const Outcome good =
      ask(whole(200, R"({"version":"1","container":"running","detail":"","restarts":0,"uptime_s":1})"));
  REQUIRE(good.status);
  CHECK(good.status->container == "running");
}

TEST_CASE("an agent that is silent, endless or senseless is given up in time, and nothing much is kept of it") {
  const std::string ok = "HTTP/1.1 200 OK\r\n", chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string much(64 * KiB, 'x');
  const std::pair<std::string, std::string> answers[] = {
      {"", ""},            // nothing
      {"HT", ""},          // and no more
      {much, much},        // no HTTP
      {ok + "A: ", much},  // a header without an end
      {ok, "A: b\r\n"},    // headers without an end
      {ok + "Content-Length: 18446744073709551615\r\n\r\n", much},
      {ok + "Content-Length: 99999999999999999999\r\n\r\n", much},
      {ok + "Content-Length: -1\r\n\r\n", much},
      {ok + "\r\n", much},  // a body that ends with the connection
      {chunked, "10000\r\n" + much + "\r\n"},
      {chunked + "ffffffffffffffff\r\n", much},
      {chunked + "5;", much},
      {"", "HTTP/1.1 100 Continue\r\n\r\n"},
      {whole(200, std::string(60000, '[')), ""},
      {whole(200, "{}"), ""},
      {whole(200, R"({"version":{}})"), much},
      {whole(101, ""), much},
      {whole(999, ""), much},
  };
  for (const auto& [first, again] : answers) {
    CAPTURE(first.substr(0, 100));
    const Outcome outcome = ask(first, again);
    CHECK(outcome.took < 3s);
    if (!outcome.status) CHECK(to_text(outcome.status.error()).size() < 2000);
    if (!again.empty() && again.front() == 'x') CHECK(outcome.taken < 2 * MiB);
  }
}

TEST_CASE("what an agent says of its failure is short and cannot do anything to a terminal") {
  const std::string nasty = std::string(4000, 'x') + "\\u001b]0;title\\u0007";
  std::string causes;
  for (int i = 0; i < 100; ++i) causes += std::string(i > 0 ? "," : "") + "\"a\\nb\"";
  const Outcome failed = ask(whole(500, R"({"error":"internal","message":"\u001b[2J)" + nasty + R"(","hint":")" +
                                            nasty + R"(","because":[)" + causes + "]}"));
  REQUIRE_FALSE(failed.status);
  const Error& error = failed.status.error();
  CHECK(error.what.size() <= 500);
  CHECK(error.hint.size() <= 500);
  CHECK(error.because.size() == 8);
  for (const std::string& text : {error.what, error.hint, error.because.front()})
    CHECK(text.find_first_of("\x1b\n\a") == std::string::npos);
}
