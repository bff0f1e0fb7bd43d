#pragma once
/// The few rtnetlink requests that a static network needs.
#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace sprite::agent {

/// An IPv4 address in host byte order: address(10, 0, 2, 15).
constexpr std::uint32_t address(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

/// A netlink socket; it acts on the network namespace in which it was opened. Every request: Errors: as system_error.
class Netlink {
 public:
  static Result<Netlink> open();

  Result<> set_up(const std::string& link);
  /// A pair of virtual links: `name` here, `peer` in the network namespace `peer_namespace`.
  Result<> add_pair(const std::string& name, const std::string& peer, int peer_namespace);
  /// Removes a link; an absent one is fine.
  Result<> remove(const std::string& link);
  /// `address`: as ether_aton() reads it. Errors: also invalid (not one).
  Result<> set_hardware_address(const std::string& link, const std::string& address);
  Result<> add_address(const std::string& link, std::uint32_t address, std::uint8_t prefix_bits);
  Result<> add_default_route(std::uint32_t gateway);

 private:
  explicit Netlink(Fd socket) : socket_(std::move(socket)) {}
  Result<> ask(std::string message, const std::string& doing);
  Result<unsigned> index_of(const std::string& link);

  Fd socket_;
};

}  // namespace sprite::agent
