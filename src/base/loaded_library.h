#pragma once
/// A shared library that is loaded when it is first needed, not when the program starts.
#include <atomic>
#include <optional>
#include <string>

namespace sprite {

class LoadedLibrary {
 public:
  /// `name` is for people ("libvirt"), `file` as dlopen() takes it ("libvirt-qemu.so.0").
  constexpr LoadedLibrary(const char* name, const char* file) : name_(name), file_(file) {}

  /// Loads it. What it says to that, if it cannot be loaded.
  std::optional<std::string> load();
  /// Whether it is loaded and has such a function.
  bool has(const char* function) const;

  /// The library's version of `Function`, which is declared in a header of its own and called `name`. Dies if it is not
  /// loaded, or lacks it.
  template <auto Function>
  auto real(const char* name) const {
    static const auto function = reinterpret_cast<decltype(Function)>(require(name));
    return function;
  }

 private:
  void* require(const char* function) const;

  const char* name_;
  const char* file_;
  std::atomic<void*> handle_ = nullptr;
};

}  // namespace sprite
