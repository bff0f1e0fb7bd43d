#pragma once
/// Mapping: memory of the kernel's, private or shared with a file; unmapped when destroyed.
#include <cstdint>
#include <span>
#include <utility>

#include "base/result.h"

namespace sprite::store {

class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept : at_(std::exchange(other.at_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();

  /// `bytes` of zeros that take memory only where they are touched. Errors: unavailable.
  static Result<Mapping> anonymous(std::size_t bytes);
  /// The file's bytes from `offset` on, which must all exist. Errors: unavailable.
  static Result<Mapping> shared(int fd, std::uint64_t offset, std::size_t bytes);

  std::span<std::uint64_t> words() const { return {static_cast<std::uint64_t*>(at_), bytes_ / sizeof(std::uint64_t)}; }

 private:
  void* at_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace sprite::store
