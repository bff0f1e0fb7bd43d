#include "agent/kernel_identity.h"

#include <linux/random.h>
#include <sys/ioctl.h>
#include <time.h>

#include <charconv>
#include <cstring>

#include "agent/boot.h"

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

/// In place: it is this very file that is mounted in the container.
Result<> write_boot_id(std::string_view id) {
  TRY_LET(const Fd file, open_file(boot_id_file, O_WRONLY | O_CREAT | O_TRUNC, 0444));
  return write_all(file.get(), as_bytes(id));
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

Result<> publish_boot_id() {
  TRY_LET(const std::string id, read_file(kernel_boot_id, 4096));
  return write_boot_id(id);
}

Result<> renew_boot_id() { return write_boot_id(random_uuid() + "\n"); }

Result<> set_clock(std::int64_t unix_ns) {
  const timespec now{unix_ns / 1'000'000'000, unix_ns % 1'000'000'000};
  if (::clock_settime(CLOCK_REALTIME, &now) != 0) return system_error("cannot set the clock");
  return {};
}

}  // namespace sprite::agent
