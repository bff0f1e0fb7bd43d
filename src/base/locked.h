#pragma once
/// Locked<T>: state shared between threads, reachable only while its mutex is held.
#include <mutex>
#include <utility>

namespace sprite {

/// A value that can only be touched while its mutex is held.
template <class T>
class Locked {
 public:
  Locked() = default;
  explicit Locked(T value) : value_(std::move(value)) {}

  template <class F>
  auto with(F&& use) {
    std::lock_guard hold(mutex_);
    return use(value_);
  }

 private:
  std::mutex mutex_;
  T value_{};
};

}  // namespace sprite
