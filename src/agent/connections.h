#pragma once
/// Network connections of programs: which there are, and ending those that belong to another machine.
#include <array>
#include <cstdint>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace sprite::agent {

/// One end of a TCP connection, or of a UDP socket that is connected.
struct Connection {
  using Address = std::array<std::uint32_t, 4>;  ///< In network byte order; of IPv4 the first counts.
  struct End {
    Address address{};
    std::uint16_t port = 0;  ///< In network byte order.
  };
  std::uint8_t family = 0, protocol = 0;  ///< AF_INET or AF_INET6; IPPROTO_TCP or IPPROTO_UDP
  End local{}, peer{};
  bool is_over = false;  ///< Nobody has it open any more.
  std::uint32_t interface = 0;
  std::array<std::uint32_t, 2> cookie{};  ///< By which the kernel knows it.
};

/// Those whose other end is in another machine: not among `all`, and not over the loopback.
std::vector<Connection> to_the_outside(const std::vector<Connection>& all);

/// Ends those of all programs, in whatever network namespace, that lead out of this machine; how many. Who waits for
/// one is told at once (ECONNABORTED). Errors: as system_error (this kernel cannot).
Result<std::size_t> end_connections_to_the_outside();

}  // namespace sprite::agent
