#include "agent/network.h"

#include <sched.h>
#include <unistd.h>

#include <thread>

#include "agent/netlink.h"
#include "base/file.h"
#include "base/process.h"

namespace sprite::agent {
namespace {

constexpr auto outside = "eth0", pair_outer = "inner0", pair_inner = "eth0";
constexpr std::uint32_t own_address = address(10, 0, 2, 15), gateway = address(10, 0, 2, 2);
constexpr std::uint32_t pair_outer_address = address(10, 0, 0, 2), pair_inner_address = address(10, 0, 0, 1);

Result<> set_kernel(const Path& name, std::string_view value) {
  TRY_LET(const Fd file, open_file("/proc/sys" / name, O_WRONLY));
  return write_all(file.get(), as_bytes(value));
}

struct NetworkNamespace {
  Fd fd;
  Netlink netlink;
};

/// The result of `work`, done by a thread of its own, which may enter what it likes; what it opens there stays there.
template <class Work>
auto elsewhere(Work work) {
  decltype(work()) result = Error{};
  std::thread([&] { result = work(); }).join();
  return result;
}

Result<NetworkNamespace> make_namespace() {
  return elsewhere([]() -> Result<NetworkNamespace> {
    if (::unshare(CLONE_NEWNET) != 0) return system_error("cannot make a network namespace");
    TRY_LET(Fd fd, open_file("/proc/thread-self/ns/net", O_RDONLY));
    TRY_LET(Netlink netlink, Netlink::open());
    return NetworkNamespace{std::move(fd), std::move(netlink)};
  });
}

Result<Netlink> netlink_in(const Fd& network_namespace) {
  return elsewhere([&]() -> Result<Netlink> {
    if (::setns(network_namespace.get(), CLONE_NEWNET) != 0)
      return system_error("cannot enter the container's network namespace");
    return Netlink::open();
  });
}

bool is_outside_there() { return ::access((Path("/sys/class/net") / outside).c_str(), F_OK) == 0; }

}  // namespace

std::string filter_rules() {
  return R"(table ip sprite {
  chain input {
    type filter hook input priority 0; policy drop;
    iifname "lo" accept
    ct state established,related accept
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    iifname "inner0" ip daddr 10.0.2.3 meta l4proto { tcp, udp } th dport 53 accept
    iifname "inner0" ip daddr 10.0.2.0/24 drop
    iifname "inner0" ip daddr 127.0.0.0/8 drop
    iifname "inner0" oifname "eth0" accept
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname "eth0" masquerade
  }
}
)";
}

Result<> set_up_network() {
  // The pair of links must not become a way around the IPv4 filter.
  for (const char* scope : {"all", "default"}) (void)set_kernel(Path("net/ipv6/conf") / scope / "disable_ipv6", "1");
  const Path rules = "/run/filter.nft";
  TRY(write_file_atomically(rules, filter_rules()));
  TRY_LET(const Finished filtered, run_process({"nft", "-f", rules.string()}));
  if (filtered.exit_status != 0)
    return Error{Error::Kind::internal, "cannot set the network filter", "", {filtered.err}};
  TRY_LET(Netlink netlink, Netlink::open());
  TRY(netlink.set_up("lo"));
  if (!is_outside_there()) return {};
  TRY(netlink.set_up(outside));
  TRY(netlink.add_address(outside, own_address, 24));
  TRY(netlink.add_default_route(gateway));
  return set_kernel("net/ipv4/ip_forward", "1");
}

Result<> set_hardware_address(const std::string& address, const Fd& inner_namespace) {
  if (is_outside_there()) {
    TRY_LET(Netlink outer, Netlink::open());
    TRY(outer.set_hardware_address(outside, address));
  }
  TRY_LET(Netlink inner, netlink_in(inner_namespace));
  return inner.set_hardware_address(pair_inner, address);
}

Result<Fd> make_inner_network() {
  TRY_LET(NetworkNamespace inner, make_namespace());
  TRY_LET(Netlink outer, Netlink::open());
  TRY(outer.remove(pair_outer));
  TRY(outer.add_pair(pair_outer, pair_inner, inner.fd.get()));
  TRY(outer.add_address(pair_outer, pair_outer_address, 30));
  TRY(outer.set_up(pair_outer));
  TRY(inner.netlink.set_up("lo"));
  TRY(inner.netlink.add_address(pair_inner, pair_inner_address, 30));
  TRY(inner.netlink.set_up(pair_inner));
  TRY(inner.netlink.add_default_route(pair_outer_address));
  return std::move(inner.fd);
}

}  // namespace sprite::agent
