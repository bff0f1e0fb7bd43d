#include "channel/link.h"

#include "world.h"

using namespace sprite;
using namespace sprite::test;
namespace error = boost::asio::error;

TEST_CASE("bytes go both ways, and each direction ends by itself") {
  World world;
  auto [host, guest] = world.connect();
  CHECK(run(world.io, write_all(host, as_bytes("question"))));
  CHECK(as_text(run(world.io, read_count(guest, 8))) == "question");
  host.shutdown_send();
  CHECK(run(world.io, read_to_end(guest)).ended == error::eof);
  CHECK(run(world.io, write_all(guest, as_bytes("answer"))));
  guest.shutdown_send();
  const auto answer = run(world.io, read_to_end(host));
  CHECK(as_text(answer.bytes) == "answer");
  CHECK(answer.ended == error::eof);
  CHECK_FALSE(run(world.io, write_all(host, as_bytes("more"))));
}

TEST_CASE("the guest opens streams, too") {
  World world;
  auto guest = world.guest.link->open();
  REQUIRE(guest);
  REQUIRE(run_until(world.io, [&] { return !world.host.accepted.empty(); }));
  CHECK(run(world.io, write_all(*guest, as_bytes("hello"))));
  CHECK(as_text(run(world.io, read_count(world.host.accepted.front(), 5))) == "hello");
}
