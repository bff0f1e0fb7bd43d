#pragma once
/// libvirt's handles as owners, its errors as ours, and the thread that runs its events.
///
/// libvirt has one event loop per process, chosen before the first connection. EventLoop chooses libvirt's default one
/// and runs it on a thread of ours; callbacks of domain events arrive on that thread and must not call libvirt back: an
/// embedded driver would wait for itself.
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/handle.h"
#include "base/result.h"

namespace sprite::vm {

using Connection = std::unique_ptr<virConnect, Releaser<virConnectClose>>;
using Domain = std::unique_ptr<virDomain, Releaser<virDomainFree>>;

/// libvirt's last error on this thread as the cause of `what`. Kinds: not_found (no such domain), denied, unavailable.
Error libvirt_error(std::string what);

/// A text that libvirt allocated; empty if it gave none.
std::string take_text(char* text);

/// The thread that runs libvirt's events, from construction to destruction.
class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(EventLoop&&) = delete;

  /// Returns when every callback that had begun has ended. Not from the loop's own thread.
  void wait_for_callbacks();

 private:
  std::atomic<bool> stop_ = false;
  int wake_ = -1;  ///< A timer that ends the wait of the loop, when it is set to 0.
  std::mutex mutex_;
  std::condition_variable passed_;
  std::uint64_t passes_ = 0;  ///< How often the timer was called.
  std::thread thread_;
};

}  // namespace sprite::vm
