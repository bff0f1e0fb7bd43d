#pragma once
/// A connection to the system's D-Bus (libsystemd's sd-bus), on which the daemon's loop works when there is anything to
/// do: nothing polls, and nothing here waits for the bus.
#include <systemd/sd-bus.h>

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>

#include "base/result.h"

namespace sprite::daemon {

/// Its callbacks run on the executor, and none after it is destroyed.
class SystemBus {
 public:
  /// `lost` is called on the executor, once, when the bus is gone or does not want us. Errors: unavailable (there is no
  /// bus here).
  static Result<SystemBus> open(const boost::asio::any_io_executor& executor, std::function<void(const Error&)> lost);
  SystemBus(SystemBus&&) noexcept = default;
  SystemBus& operator=(SystemBus&&) noexcept = delete;
  ~SystemBus();

  /// `call` makes asynchronous calls of sd-bus; a negative result, as sd-bus has, loses the bus.
  void with(const std::function<int(sd_bus*)>& call);

 private:
  struct Link;
  explicit SystemBus(std::shared_ptr<Link> link) : link_(std::move(link)) {}
  std::shared_ptr<Link> link_;
};

}  // namespace sprite::daemon
