#include "agent/netlink.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sprite::agent {
namespace {

/// A request under construction: header, the family's own struct, attributes (some hold others).
class Message {
 public:
  template <class Body>
  Message(std::uint16_t type, std::uint16_t flags, const Body& body) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    append(&header, sizeof header);
    append(&body, sizeof body);
  }
  Message& add(std::uint16_t type, const void* data, std::size_t size) {
    rtattr attribute{static_cast<unsigned short>(RTA_LENGTH(size)), type};
    append(&attribute, sizeof attribute);
    append(data, size);
    return *this;
  }
  Message& add(std::uint16_t type, const std::string& text) { return add(type, text.c_str(), text.size() + 1); }
  Message& add(std::uint16_t type, std::uint32_t value) { return add(type, &value, sizeof value); }
  /// Starts an attribute that holds the following ones, until close().
  std::size_t open(std::uint16_t type) {
    const std::size_t at = bytes_.size();
    add(type, nullptr, 0);
    return at;
  }
  Message& close(std::size_t at) {
    const auto length = static_cast<unsigned short>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at, &length, sizeof length);
    return *this;
  }
  void append(const void* data, std::size_t size) {
    if (size > 0) bytes_.append(static_cast<const char*>(data), size);
    bytes_.resize((bytes_.size() + 3) / 4 * 4, '\0');
  }
  std::string finish() {
    const auto length = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof length);
    return bytes_;
  }

 private:
  std::string bytes_;
};

}  // namespace

Result<Netlink> Netlink::open() {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket) return system_error("cannot open a netlink socket");
  return Netlink(std::move(socket));
}

Result<> Netlink::ask(std::string message, const std::string& doing) {
  if (::send(socket_.get(), message.data(), message.size(), 0) < 0) return system_error("cannot " + doing);
  alignas(nlmsghdr) std::array<char, 8192> buffer{};
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) return system_error("cannot " + doing);
  nlmsghdr header{};
  std::memcpy(&header, buffer.data(), sizeof header);
  nlmsgerr answer{};
  if (static_cast<std::size_t>(got) < NLMSG_LENGTH(sizeof answer) || header.nlmsg_type != NLMSG_ERROR)
    return Error{Error::Kind::internal, "cannot " + doing, "", {"the kernel's answer is not understood"}};
  std::memcpy(&answer, buffer.data() + NLMSG_HDRLEN, sizeof answer);
  if (answer.error != 0) return system_error("cannot " + doing, -answer.error);
  return {};
}

Result<unsigned> Netlink::index_of(const std::string& link) {
  ifreq request{};
  link.copy(request.ifr_name, IFNAMSIZ - 1);
  // Any socket of this namespace answers the question, this one too.
  if (::ioctl(socket_.get(), SIOCGIFINDEX, &request) != 0)
    return system_error("there is no network link '" + link + "'");
  return static_cast<unsigned>(request.ifr_ifindex);
}

Result<> Netlink::set_up(const std::string& link) {
  TRY_LET(const unsigned index, index_of(link));
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(index);
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  return ask(Message(RTM_NEWLINK, 0, body).finish(), "bring up link '" + link + "'");
}

Result<> Netlink::add_pair(const std::string& name, const std::string& peer, int peer_namespace) {
  Message message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  message.add(IFLA_IFNAME, name);
  const std::size_t info = message.open(IFLA_LINKINFO);
  message.add(IFLA_INFO_KIND, "veth", 4);
  const std::size_t data = message.open(IFLA_INFO_DATA);
  const std::size_t other = message.open(VETH_INFO_PEER);
  const ifinfomsg body{};
  message.append(&body, sizeof body);
  message.add(IFLA_IFNAME, peer).add(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_namespace));
  message.close(other).close(data).close(info);
  return ask(message.finish(), "make the link pair '" + name + "' and '" + peer + "'");
}

Result<> Netlink::remove(const std::string& link) {
  const auto index = index_of(link);
  if (!index) return {};
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(*index);
  return ask(Message(RTM_DELLINK, 0, body).finish(), "remove link '" + link + "'");
}

Result<> Netlink::set_hardware_address(const std::string& link, const std::string& address) {
  ether_addr bytes{};
  if (!::ether_aton_r(address.c_str(), &bytes))
    return Error{Error::Kind::invalid, "'" + address + "' is not the hardware address of a link"};
  TRY_LET(const unsigned index, index_of(link));
  ifinfomsg body{};
  body.ifi_index = static_cast<int>(index);
  Message message(RTM_NEWLINK, 0, body);
  message.add(IFLA_ADDRESS, &bytes, sizeof bytes);
  return ask(message.finish(), "give link '" + link + "' its hardware address");
}

Result<> Netlink::add_address(const std::string& link, std::uint32_t address, std::uint8_t prefix_bits) {
  TRY_LET(const unsigned index, index_of(link));
  ifaddrmsg body{};
  body.ifa_family = AF_INET;
  body.ifa_prefixlen = prefix_bits;
  body.ifa_index = index;
  Message message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body);
  message.add(IFA_LOCAL, htonl(address)).add(IFA_ADDRESS, htonl(address));
  return ask(message.finish(), "give link '" + link + "' its address");
}

Result<> Netlink::add_default_route(std::uint32_t gateway) {
  rtmsg body{};
  body.rtm_family = AF_INET;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = RT_SCOPE_UNIVERSE;
  body.rtm_type = RTN_UNICAST;
  Message message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, body);
  message.add(RTA_GATEWAY, htonl(gateway));
  return ask(message.finish(), "set the default route");
}

}  // namespace sprite::agent
