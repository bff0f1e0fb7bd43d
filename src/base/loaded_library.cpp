#include "base/loaded_library.h"

#include <dlfcn.h>

#include "base/result.h"

namespace sprite {

std::optional<std::string> LoadedLibrary::load() {
  if (handle_) return std::nullopt;
  handle_ = ::dlopen(file_, RTLD_NOW | RTLD_LOCAL);
  if (handle_) return std::nullopt;
  return ::dlerror();
}

bool LoadedLibrary::has(const char* function) const { return handle_ && ::dlsym(handle_, function); }

void* LoadedLibrary::require(const char* function) const {
  void* const found = handle_ ? ::dlsym(handle_, function) : nullptr;
  if (!found) die(std::string(function) + ": " + name_ + " is not loaded, or lacks it");
  return found;
}

}  // namespace sprite
