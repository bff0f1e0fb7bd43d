#include "vm/libvirt_handles.h"

#include <signal.h>

#include <cstdlib>
#include <mutex>

namespace sprite::vm {
namespace {

/// Once per process: the event implementation, and no printing to standard error.
void prepare_libvirt() {
  static std::once_flag once;
  std::call_once(once, [] {
    ::setenv("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null", 0);  // its errors come to us; set it to see its log
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
    if (virInitialize() != 0 || virEventRegisterDefaultImpl() != 0) die("libvirt cannot be initialized");
  });
}

Error::Kind kind_of(int code) {
  switch (code) {
    case VIR_ERR_NO_DOMAIN: return Error::Kind::not_found;
    case VIR_ERR_DOM_EXIST: return Error::Kind::exists;
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_ACCESS_DENIED: return Error::Kind::denied;
    default: return Error::Kind::unavailable;
  }
}

}  // namespace

Error libvirt_error(std::string what) {
  const virError* last = virGetLastError();
  if (!last) return Error{Error::Kind::unavailable, std::move(what), {}, {}};
  return Error{kind_of(last->code), std::move(what), {}, {last->message ? last->message : "libvirt does not say why"}};
}

std::string take_text(char* text) {
  const std::unique_ptr<char, Releaser<std::free>> owned(text);
  return owned ? std::string(owned.get()) : std::string();
}

EventLoop::EventLoop() {
  prepare_libvirt();
  const auto pass = [](int timer, void* self) {
    auto& that = *static_cast<EventLoop*>(self);
    virEventUpdateTimeout(timer, -1);
    const std::lock_guard hold(that.mutex_);
    ++that.passes_;
    that.passed_.notify_all();
  };
  wake_ = virEventAddTimeout(-1, pass, this, nullptr);
  if (wake_ < 0) die("libvirt's event loop takes no timer");
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);  // signals are for the threads that expect them
  thread_ = std::thread([this] {
    while (!stop_) virEventRunDefaultImpl();
  });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void EventLoop::wait_for_callbacks() {
  std::unique_lock hold(mutex_);
  const std::uint64_t before = passes_;
  virEventUpdateTimeout(wake_, 0);
  passed_.wait(hold, [&] { return passes_ != before; });
}

EventLoop::~EventLoop() {
  stop_ = true;
  virEventUpdateTimeout(wake_, 0);
  thread_.join();
  virEventRemoveTimeout(wake_);
}

}  // namespace sprite::vm
