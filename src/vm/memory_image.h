#pragma once
/// A machine's RAM and state as files: what a sleeping sprite wakes from, and what a template is.
///
/// A memory image is a directory: `ram` (sparse, as long as the RAM; pages that are all zeros are holes), `state` (as
/// Hypervisor::save() wrote it) and `stamp` (JSON: what both were made with, and their checksums). It is written beside
/// its place and renamed once it is whole and durable, so that a crash leaves either all of it or nothing. Whoever
/// lets processors run from one that belongs to a disk calls consume_memory_image() before: loaded a second time, it
/// would meet a newer disk.
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "vm/hypervisor.h"
#include "vm/memory_copy.h"

namespace sprite::vm {

/// What a memory image was made with. All of it has to be the same where it is used.
struct MemoryStamp {
  Compatibility machine{};
  std::string image;          ///< Digest of the image whose kernel and agent run in it.
  std::string agent_version;  ///< "" where nobody knows.
  std::string disk;           ///< The instant of the disk that goes with it.

  bool operator==(const MemoryStamp&) const = default;
};

/// The first thing that differs, in words ("QEMU was 7.2.1 and is 7.2.2"); empty if nothing does.
std::string difference(const MemoryStamp& was, const MemoryStamp& is);

/// A memory image that is whole, by its stamp, sizes and the state's checksum. The RAM is verified while it is read.
struct MemoryImage {
  Path directory{};
  MemoryStamp stamp{};
  /// It is kept elsewhere, too, and may be gone on from again: whoever does needs new random numbers.
  bool is_kept = false;
  std::uint64_t state_bytes = 0, ram_data_bytes = 0;
  std::vector<std::uint32_t>
      ram_checksums{};  ///< One for each 4 MiB: of page numbers and bytes, all-zero pages left out.

  Path state() const { return directory / "state"; }
  Path ram() const { return directory / "ram"; }
};

/// Opens the memory image `directory`; nothing if there is none. Errors: corrupt (with what is wrong), as system_error.
Result<std::optional<MemoryImage>> open_memory_image(const Path& directory);

/// Gives the memory file `to`, which is made unless it is there, the image's RAM, and nothing else: a sparse copy, all
/// of it verified before the first byte is written. Errors: corrupt, no_space, as system_error; busy (`cancelled`
/// became true). It is removed then.
Result<> fill_memory(const MemoryImage& image, const Path& to, const std::atomic<bool>& cancelled);

/// Reads all of the image's RAM. Errors: corrupt, as system_error; busy (`cancelled` became true).
Result<> verify_memory(const MemoryImage& image, const std::atomic<bool>& cancelled);

/// Gives the memory file `to`, which is there without data, what the memory file `from` holds, which must not change
/// meanwhile.
/// Errors: no_space, as system_error; busy (`cancelled` became true).
Result<> copy_memory_file(const Path& from, const Path& to, const std::atomic<bool>& cancelled);

/// The image at `directory` is there no more, and durably so; its bytes go with remove_memory_remnants(). Errors: as
/// system_error.
Result<> consume_memory_image(const Path& directory);
/// Takes that back: nobody went on from it. Errors: as system_error.
Result<> restore_consumed_image(const Path& directory);
/// Removes what consume_memory_image() or a crash left at `directory`, but not an image that is whole. Nobody may be
/// writing one.
Result<> remove_memory_remnants(const Path& directory);

/// Writes an image at `directory`, in place of one that is there. Undone unless publish() succeeded.
class MemoryImageWriter {
 public:
  /// Errors: no_space, as system_error.
  static Result<MemoryImageWriter> begin(const Path& directory);
  ~MemoryImageWriter();
  MemoryImageWriter(MemoryImageWriter&& other) noexcept
      : directory_(std::move(other.directory_)),
        unfinished_(std::exchange(other.unfinished_, Path())),
        copied_(std::move(other.copied_)),
        is_kept_(other.is_kept_) {}
  MemoryImageWriter& operator=(MemoryImageWriter&&) = delete;

  /// Where Hypervisor::save() is to put the state.
  Path state() const { return unfinished_ / "state"; }
  /// What is written may be gone on from more than once (MemoryImage::is_kept).
  void mark_kept() { is_kept_ = true; }
  /// Copies the memory file, which must not change meanwhile, and makes everything durable. Errors: no_space, as
  /// system_error; busy (`cancelled` became true).
  Result<> copy(const Path& memory_file, const MemoryStamp& stamp, const std::atomic<bool>& cancelled);
  /// copy() in two steps: the memory file, `bytes` long, may change after the first; the second makes all durable.
  Result<> copy_ram(const Path& memory_file, std::uint64_t bytes, const std::atomic<bool>& cancelled);
  Result<> finish(const MemoryStamp& stamp);
  /// In place of copy(): the bytes of `image`, shared with it, as what goes with the instant `disk`. Errors: as
  /// system_error.
  Result<> link(const MemoryImage& image, std::string disk);
  /// Puts what copy(), finish() or link() made in its place; takes a moment. Errors: as system_error.
  Result<> publish();
  /// The same in another place than what begin() was told, on the same file system.
  Result<> publish_as(Path directory);

 private:
  MemoryImageWriter(Path directory, Path unfinished)
      : directory_(std::move(directory)), unfinished_(std::move(unfinished)) {}
  Path directory_, unfinished_;
  CopiedMemory copied_{};
  bool is_kept_ = false;
};

}  // namespace sprite::vm
