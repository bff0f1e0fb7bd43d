#include "agent/connections.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <set>
#include <thread>
#include <tuple>

#include "base/directory.h"
#include "base/file.h"

namespace sprite::agent {
namespace {

constexpr std::uint32_t bit(int state) { return 1U << static_cast<unsigned>(state); }
constexpr std::uint32_t connected_states = ~(bit(TCP_LISTEN) | bit(TCP_CLOSE));

struct DiagRequest {
  nlmsghdr header{};
  inet_diag_req_v2 body{};
};

DiagRequest request(std::uint16_t type, std::uint16_t flags, std::uint8_t family, std::uint8_t protocol) {
  DiagRequest made;
  made.header.nlmsg_len = sizeof made;
  made.header.nlmsg_type = type;
  made.header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  made.body.sdiag_family = family;
  made.body.sdiag_protocol = protocol;
  made.body.idiag_states = protocol == IPPROTO_TCP ? connected_states : bit(TCP_ESTABLISHED);
  return made;
}

Connection from_kernel(const inet_diag_msg& message, std::uint8_t protocol) {
  Connection each{.family = message.idiag_family, .protocol = protocol};
  std::memcpy(each.local.address.data(), message.id.idiag_src, sizeof message.id.idiag_src);
  std::memcpy(each.peer.address.data(), message.id.idiag_dst, sizeof message.id.idiag_dst);
  each.local.port = message.id.idiag_sport;
  each.peer.port = message.id.idiag_dport;
  each.is_over = message.idiag_state == TCP_TIME_WAIT;
  each.interface = message.id.idiag_if;
  std::memcpy(each.cookie.data(), message.id.idiag_cookie, sizeof message.id.idiag_cookie);
  return each;
}

/// The kernel's sockets of one network namespace: that in which it was opened.
class Diagnosis {
 public:
  static Result<Diagnosis> open() {
    Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!socket) return system_error("cannot ask for network connections");
    return Diagnosis(std::move(socket));
  }

  Result<> list(std::uint8_t family, std::uint8_t protocol, std::vector<Connection>& found) {
    TRY(send(request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, protocol)));
    for (bool more = true; more;) {
      TRY_LET(int left, receive());
      for (const nlmsghdr* each = first(); NLMSG_OK(each, left); each = NLMSG_NEXT(each, left)) {
        if (each->nlmsg_type == NLMSG_ERROR || each->nlmsg_type == NLMSG_DONE) {
          const int error = error_of(*each);
          if (error != 0) return system_error("cannot list network connections", -error);
          more = false;
        }
        if (each->nlmsg_type != SOCK_DIAG_BY_FAMILY || each->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) continue;
        found.push_back(from_kernel(*static_cast<const inet_diag_msg*>(NLMSG_DATA(each)), protocol));
      }
    }
    return {};
  }

  /// One that has ended meanwhile is fine, and one of which only the kernel still knows.
  Result<> end(const Connection& each) {
    DiagRequest asked = request(SOCK_DESTROY, NLM_F_ACK, each.family, each.protocol);
    inet_diag_sockid& id = asked.body.id;
    std::memcpy(id.idiag_src, each.local.address.data(), sizeof id.idiag_src);
    std::memcpy(id.idiag_dst, each.peer.address.data(), sizeof id.idiag_dst);
    id.idiag_sport = each.local.port;
    id.idiag_dport = each.peer.port;
    id.idiag_if = each.interface;
    std::memcpy(id.idiag_cookie, each.cookie.data(), sizeof id.idiag_cookie);
    TRY(send(asked));
    TRY(receive());
    const int error = error_of(*first());
    if (error == 0 || error == -ENOENT || error == -EOPNOTSUPP) return {};
    return system_error("cannot end a network connection", -error);
  }

 private:
  explicit Diagnosis(Fd socket) : socket_(std::move(socket)) {}

  Result<> send(const DiagRequest& asked) {
    if (::send(socket_.get(), &asked, sizeof asked, 0) < 0) return system_error("cannot ask for network connections");
    return {};
  }
  Result<int> receive() {
    ssize_t got = -1;
    do got = ::recv(socket_.get(), buffer_.data(), buffer_.size(), 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) return system_error("cannot ask for network connections");
    return static_cast<int>(got);
  }
  const nlmsghdr* first() const { return reinterpret_cast<const nlmsghdr*>(buffer_.data()); }
  /// What an answer that ends others begins with: 0 if all is well, or a negative errno.
  static int error_of(const nlmsghdr& answer) {
    int error = 0;
    if (answer.nlmsg_len >= NLMSG_LENGTH(sizeof error)) std::memcpy(&error, NLMSG_DATA(&answer), sizeof error);
    return error;
  }

  Fd socket_;
  alignas(nlmsghdr) std::array<char, 32768> buffer_{};
};

/// The result of `work`, done by a thread of its own in that network namespace.
template <class Work>
auto inside(const Fd& network_namespace, Work work) {
  decltype(work()) result = Error{};
  std::thread([&] {
    if (::setns(network_namespace.get(), CLONE_NEWNET) == 0)
      result = work();
    else
      result = system_error("cannot enter a network namespace");
  }).join();
  return result;
}

/// Of all processes, each once. One that ended meanwhile needs none.
std::vector<Fd> network_namespaces() {
  std::vector<Fd> found;
  std::set<ino_t> known;
  for (const Path& process : entries_of("/proc")) {
    const std::string name = process.filename();
    if (!std::isdigit(static_cast<unsigned char>(name.front()))) continue;
    const Path link = process / "ns/net";
    struct stat info {};
    if (::stat(link.c_str(), &info) != 0 || known.contains(info.st_ino)) continue;
    auto space = open_file(link, O_RDONLY);
    if (!space) continue;
    known.insert(info.st_ino);
    found.push_back(*std::move(space));
  }
  return found;
}

Result<std::vector<Connection>> connections_here() {
  TRY_LET(Diagnosis kernel, Diagnosis::open());
  std::vector<Connection> found;
  for (const std::uint8_t family : {AF_INET, AF_INET6})
    for (const std::uint8_t protocol : {IPPROTO_TCP, IPPROTO_UDP}) TRY(kernel.list(family, protocol, found));
  return found;
}

Result<> end_here(const std::vector<Connection>& all) {
  TRY_LET(Diagnosis kernel, Diagnosis::open());
  Result<> first;
  for (const Connection& each : all) {
    auto ended = kernel.end(each);
    if (first) first = std::move(ended);
  }
  return first;
}

/// As IPv6 spells it, in which programs may use either.
Connection::Address spelled_out(std::uint8_t family, const Connection::Address& address) {
  if (family == AF_INET6) return address;
  return {0, 0, htonl(0xffff), address[0]};
}

bool is_loopback(const Connection::Address& address) {
  if (address == Connection::Address{0, 0, 0, htonl(1)}) return true;
  return address[0] == 0 && address[1] == 0 && address[2] == htonl(0xffff) && ntohl(address[3]) >> 24 == 127;
}

}  // namespace

std::vector<Connection> to_the_outside(const std::vector<Connection>& all) {
  using Key = std::tuple<std::uint8_t, Connection::Address, std::uint16_t, Connection::Address, std::uint16_t>;
  const auto key = [](const Connection& of, const Connection::End& from, const Connection::End& to) {
    return Key(of.protocol, spelled_out(of.family, from.address), from.port, spelled_out(of.family, to.address),
               to.port);
  };
  std::set<Key> known;
  for (const Connection& each : all) known.insert(key(each, each.local, each.peer));
  std::vector<Connection> outside;
  for (const Connection& each : all)
    if (!each.is_over && !is_loopback(spelled_out(each.family, each.peer.address)) &&
        !known.contains(key(each, each.peer, each.local)))
      outside.push_back(each);
  return outside;
}

Result<std::size_t> end_connections_to_the_outside() {
  const std::vector<Fd> spaces = network_namespaces();
  std::vector<Connection> all;
  std::vector<std::vector<Connection>> of_space;
  Result<> first;  // failure, over which the others are not forgotten
  for (const Fd& space : spaces) {
    auto here = inside(space, connections_here);
    if (!here && first) first = here.error();
    of_space.push_back(here ? *std::move(here) : std::vector<Connection>());
    all.insert(all.end(), of_space.back().begin(), of_space.back().end());
  }
  std::set<std::array<std::uint32_t, 2>> ending;
  for (const Connection& each : to_the_outside(all)) ending.insert(each.cookie);
  for (std::size_t i = 0; i < spaces.size(); ++i) {
    std::erase_if(of_space[i], [&](const Connection& each) { return !ending.contains(each.cookie); });
    auto ended = inside(spaces[i], [&] { return end_here(of_space[i]); });
    if (first) first = std::move(ended);
  }
  TRY(std::move(first));
  return ending.size();
}

}  // namespace sprite::agent
