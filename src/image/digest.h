#pragma once
/// SHA-256 of bytes, of files, and of sparse disk images without reading their holes.
#include <memory>
#include <string>

#include "base/file.h"

struct evp_md_ctx_st;

namespace sprite::image {

/// A SHA-256 that is fed piece by piece.
class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept;
  ~Sha256();
  Sha256& add(ByteView data);
  /// The digest of all that was added, as 64 hexadecimal digits; nothing may be added afterwards.
  std::string finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const noexcept;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string sha256_of_text(std::string_view text);
/// Errors: as system_error.
Result<std::string> sha256_of_file(const Path& path);

/// The digest of a disk image: SHA-256 over each 64 KiB block that is not all zeros, preceded by its number, and over
/// the size (FORMAT.md). Does not depend on where the file has holes, and reads only its data. Errors: as system_error.
Result<std::string> sha256_of_sparse_file(const Path& path);

}  // namespace sprite::image
