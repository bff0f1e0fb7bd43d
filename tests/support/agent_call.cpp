/// Talks to the agent of a machine that no daemon drives, for benchmarks:
///   tool_agent_call SOCKET configure     it is somebody from now on; returns when programs may run in it
///   tool_agent_call SOCKET run WORD…     returns when the program has ended
/// SOCKET is the channel's. Waits a minute for an agent.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "sprite/agent_client.h"
#include "sprite/connect_channel.h"

namespace {

using namespace sprite;
namespace asio = boost::asio;

constexpr auto limit = std::chrono::minutes(1);

asio::awaitable<Result<>> call(asio::any_io_executor executor, std::vector<std::string> words) {
  auto refuse = [](Stream) {};
  auto closed = [](Error) {};
  CO_TRY_LET(const auto link, co_await connect_channel(executor, words[1], refuse, closed, limit));
  CO_TRY_LET(Stream stream, link->open());
  std::vector<std::string> program(words.begin() + 3, words.end());
  if (words[2] == "run") co_return co_await agent_client::run_program(std::move(stream), std::move(program), limit);
  wire::Configure identity;
  identity.sprite_id = "sprite-" + random_uuid();
  identity.sprite_name = identity.hostname = "baseline";
  identity.machine_id = std::string(32, '1');
  co_return co_await agent_client::configure(std::move(stream), identity, limit);
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::string> words(arguments, arguments + count);
  const bool known = (words.size() == 3 && words[2] == "configure") || (words.size() > 3 && words[2] == "run");
  if (!known) return fmt::print(stderr, "usage: tool_agent_call SOCKET configure|run WORD…\n"), 2;
  asio::io_context io(1);
  Result<> done;
  asio::co_spawn(io, call(io.get_executor(), words), [&](std::exception_ptr failed, Result<> result) {
    done = failed ? Result<>(Error{Error::Kind::internal, "an unexpected failure"}) : std::move(result);
    io.stop();
  });
  io.run();
  if (!done) fmt::print(stderr, "{}\n", done.error().what);
  return done ? 0 : 1;
}
