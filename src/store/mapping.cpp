#include "store/mapping.h"

#include <sys/mman.h>

namespace sprite::store {

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(at_, other.at_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Mapping::~Mapping() {
  if (at_) ::munmap(at_, bytes_);
}

Result<Mapping> Mapping::anonymous(std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return system_error("cannot get memory for a layer's block states");
  Mapping mapping;
  mapping.at_ = at;
  mapping.bytes_ = bytes;
  return mapping;
}

Result<Mapping> Mapping::shared(int fd, std::uint64_t offset, std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (at == MAP_FAILED) return system_error("cannot map a layer's block states");
  Mapping mapping;
  mapping.at_ = at;
  mapping.bytes_ = bytes;
  return mapping;
}

}  // namespace sprite::store
