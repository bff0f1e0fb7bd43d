#pragma once
/// Releaser: the deleter that makes a C handle a std::unique_ptr.

namespace sprite {

/// `std::unique_ptr<virConnect, Releaser<virConnectClose>>` owns a virConnect*.
template <auto Release>
struct Releaser {
  void operator()(auto* handle) const noexcept { Release(handle); }
};

}  // namespace sprite
