#include "agent/connections.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

using namespace sprite::agent;

namespace {

Connection::End end(const char* address, std::uint16_t port) {
  Connection::End made;
  const int family = std::string(address).find(':') == std::string::npos ? AF_INET : AF_INET6;
  REQUIRE(::inet_pton(family, address, made.address.data()) == 1);
  made.port = htons(port);
  return made;
}

Connection tcp(const Connection::End& local, const Connection::End& peer) {
  return {.family = AF_INET, .protocol = IPPROTO_TCP, .local = local, .peer = peer};
}

Connection tcp6(const Connection::End& local, const Connection::End& peer) {
  Connection made = tcp(local, peer);
  made.family = AF_INET6;
  return made;
}

}  // namespace

TEST_CASE("a connection whose other end is not in the machine leads to the outside") {
  const std::vector<Connection> all{tcp(end("10.0.0.1", 40000), end("198.18.0.2", 80)),
                                    tcp6(end("::ffff:10.0.0.1", 40001), end("::ffff:198.18.0.2", 80))};
  CHECK(to_the_outside(all).size() == 2);
}

TEST_CASE("connections within the machine are no way out") {
  const auto a = end("172.17.0.2", 5432), b = end("172.17.0.3", 40000);
  CHECK(to_the_outside({tcp(a, b), tcp(b, a)}).empty());  // in whatever network namespaces
  CHECK(to_the_outside({tcp(end("127.0.0.1", 40000), end("127.0.0.53", 53))}).empty());
  CHECK(to_the_outside({tcp6(end("::1", 40000), end("::1", 80))}).empty());
  CHECK(to_the_outside({tcp6(end("::ffff:127.0.0.1", 40000), end("::ffff:127.0.0.1", 80))}).empty());
  // A server that speaks both is seen as IPv6, and its client as IPv4.
  CHECK(to_the_outside({tcp(a, b), tcp6(end("::ffff:172.17.0.3", 40000), end("::ffff:172.17.0.2", 5432))}).empty());
}

TEST_CASE("one end tells of the other only if ports and protocol are those") {
  const auto a = end("10.0.0.1", 40000), b = end("198.18.0.2", 80);
  CHECK(to_the_outside({tcp(a, b), tcp(end("198.18.0.2", 81), a)}).size() == 2);
  Connection udp = tcp(b, a);
  udp.protocol = IPPROTO_UDP;
  CHECK(to_the_outside({tcp(a, b), udp}).size() == 2);
}

TEST_CASE("what nobody has open needs no end, but is one") {
  const auto a = end("172.17.0.2", 5432), b = end("172.17.0.3", 40000);
  Connection over = tcp(b, a);
  over.is_over = true;
  CHECK(to_the_outside({tcp(a, b), over}).empty());
  CHECK(to_the_outside({over}).empty());
}
