#pragma once
/// Volume: a sprite's disk.
#include <memory>

#include "base/file.h"
#include "nbd/device.h"

namespace sprite::store {

class Volume final : public nbd::Device {
 public:
  /// Makes, inside the existing `directory`, a volume that reads like the file `base` (zeros behind its end). `base` is
  /// linked, never copied or written; it must not change any more. The directory may be renamed afterwards; durable
  /// when this returns. Errors: exists, invalid (size not a multiple of 4 KiB), not_found (no base), no_space,
  /// unavailable.
  static Result<> create(const Path& directory, const Path& base, std::uint64_t size_bytes);

  /// Opens the volume in `directory` for reading and writing; one process at a time. `runtime_directory` (existing,
  /// best on tmpfs) keeps what must outlive this process but not this boot: with it, writes that were answered and not
  /// flushed are still there after a kill. Errors: not_found, busy (open elsewhere), corrupt, no_space, unavailable.
  static Result<std::shared_ptr<Volume>> open(const Path& directory, const Path& runtime_directory);

  /// Flushes as far as possible; a volume that was not closed continues at the next open.
  ~Volume() override;

  /// Flushes and forgets what the runtime directory kept. No call but the destructor may follow. Errors: as flush().
  Result<> close();

  /// Bytes of the host's disk that this volume alone uses.
  std::uint64_t used_bytes() const;

  std::uint64_t size_bytes() const override;
  Result<> read(std::uint64_t offset, MutableByteView out) override;
  bool read_now(std::uint64_t offset, MutableByteView out) override;
  Result<> write(std::uint64_t offset, ByteView data) override;
  Result<> flush() override;
  Result<> trim(std::uint64_t offset, std::uint64_t length) override;
  Result<> write_zeroes(std::uint64_t offset, std::uint64_t length) override;
  Result<std::vector<nbd::Extent>> block_status(std::uint64_t offset, std::uint64_t length,
                                                std::size_t extents_max) override;

 private:
  class Implementation;
  explicit Volume(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace sprite::store
