#include "agent/kernel_identity.h"

#include <linux/random.h>
#include <sys/ioctl.h>
#include <time.h>

#include <charconv>
#include <cstring>

#include "base/file.h"

namespace sprite::agent {
namespace {

Result<Bytes> from_hex(std::string_view hex) {
  Bytes bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    unsigned value = 0;
    const char* digits = hex.data() + 2 * i;
    if (std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2) break;
    bytes[i] = static_cast<std::byte>(value);
    if (i + 1 == bytes.size() && hex.size() % 2 == 0) return bytes;
  }
  return Error{Error::Kind::invalid, "the entropy is not hexadecimal"};
}

}  // namespace

Result<> add_entropy(std::string_view hex) {
  TRY_LET(const Bytes bytes, from_hex(hex));
  TRY_LET(const Fd random, open_file("/dev/urandom", O_RDWR));
  rand_pool_info head{};
  head.entropy_count = static_cast<int>(bytes.size() * 8);
  head.buf_size = static_cast<int>(bytes.size());
  Bytes request(sizeof head + bytes.size());
  std::memcpy(request.data(), &head, sizeof head);
  std::memcpy(request.data() + sizeof head, bytes.data(), bytes.size());
  if (::ioctl(random.get(), RNDADDENTROPY, request.data()) != 0) return system_error("cannot add entropy");
  if (::ioctl(random.get(), RNDRESEEDCRNG) != 0) return system_error("cannot reseed the random state");
  return {};
}

Result<> set_clock(std::int64_t unix_ns) {
  const timespec now{unix_ns / 1'000'000'000, unix_ns % 1'000'000'000};
  if (::clock_settime(CLOCK_REALTIME, &now) != 0) return system_error("cannot set the clock");
  return {};
}

}  // namespace sprite::agent
