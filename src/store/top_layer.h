#pragma once
/// TopLayer: the one layer of a volume that is written.
///
/// Three files: <n>.img (bytes, at the guest's offsets), <n>.bits (which blocks it holds, durable) and the runtime twin
/// of the latter, which is mapped: the states in memory.
///
/// Invariants
/// - A block's state in memory becomes `data` only after its bytes are in the page cache. So after a kill of this
/// process the
///   twin and the page cache together hold every answered write, and the next open (same boot) goes on from them.
/// - A state reaches <n>.bits only after the bytes that it speaks of are durable: flush() copies the changed states,
///   then syncs the image, then writes the copies, then syncs them. After a crash of the host only <n>.bits counts. A
///   state there is absent, or true of some moment since the last flush; a torn page of states is a mixture of the two.
/// - Within a layer no block goes back to absent.
/// - A flush that the disk refused (EIO) may have lost data that the kernel no longer tries to write: from then on
/// every
///   flush fails.
///
/// Locks: a stripe is 1 MiB of disk, whose states are one cache line. Changing a state needs its stripe; writing to
/// a block that is already `data` needs none. Stripes are taken in rising order, and nothing else is taken while
/// holding them.
#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>

#include "store/layer.h"

namespace sprite::store {

class TopLayer {
 public:
  /// Makes the files of an empty layer, and gives that of the states: it and the directory are to be synced before
  /// anything names the layer. Errors: exists, no_space, unavailable.
  static Result<Fd> create(const LayerFiles& files);
  /// Opens the layer and takes over the twin that a killed process of this boot left, or makes a new one.
  /// Errors: not_found, corrupt, invalid, no_space, unavailable.
  static Result<std::unique_ptr<TopLayer>> open(const LayerFiles& files, const Path& runtime_directory);

  std::int64_t number() const { return number_; }
  int file() const { return image_.get(); }
  const BlockStates& states() const { return states_; }
  /// Nothing was ever written to it.
  bool is_empty() const {
    return std::ranges::none_of(pages_, [](const Page& page) { return page.used.load(); });
  }
  /// Bytes of what lies below that zeroed blocks hide, or more.
  std::uint64_t hidden_bytes() const { return hidden_blocks_ * block_bytes; }
  std::uint64_t used_bytes() const { return storage_bytes(image_.get()) + storage_bytes(states_file_.file.get()); }

  /// Holds the stripes of a range of blocks.
  class Stripes {
   public:
    Stripes(TopLayer& layer, std::uint64_t first, std::uint64_t count);
    ~Stripes();
    Stripes(const Stripes&) = delete;

   private:
    TopLayer& layer_;
    std::uint64_t taken_ = 0;
  };

  /// Writes bytes into blocks that are all `data`. Errors: no_space, unavailable.
  Result<> overwrite(std::uint64_t offset, ByteView data);
  /// Writes whole blocks and makes them `data`; the caller holds their stripes. Errors: no_space (nothing changed but
  /// bytes of blocks that were `data`), unavailable.
  Result<> write(std::uint64_t first, ByteView data);
  /// Makes blocks `zero` and gives their storage back; the caller holds their stripes. Errors: no_space, unavailable.
  Result<> zero(std::uint64_t first, std::uint64_t count);
  /// Returns once everything answered before is durable. Concurrent calls share their syncs. Errors: no_space,
  /// unavailable.
  Result<> flush();
  /// Removes the twin: the next open starts from the durable states.
  void forget_twin();
  /// A copy of the states in memory that no file backs. Errors: unavailable.
  Result<Mapping> states_copy() const;
  /// The same layer as one that is not written any more; everything is durable, and nobody is inside.
  std::shared_ptr<Layer> freeze(Mapping states_copy) &&;

 private:
  static constexpr std::size_t stripe_count = 64;
  static constexpr std::uint64_t stripe_blocks = MiB / block_bytes;
  /// States are made durable, and backed by memory, in pages; one speaks of 64 MiB of disk.
  static constexpr std::size_t page_bytes = 4 * KiB;
  static constexpr std::uint64_t page_blocks = page_bytes * 4;

  struct Page {
    std::atomic<bool> changed = false;  ///< since it was last copied for <n>.bits
    std::atomic<bool> used = false;     ///< not all of it is absent
    std::atomic<bool> backed = false;   ///< the twin has memory for it: touching it cannot fail
  };

  TopLayer(std::int64_t number, Fd image, StatesFile states_file, Path twin_path, Fd twin, Mapping mapping);
  Result<> mark_changes_since_flush();
  Result<> back(std::uint64_t first, std::uint64_t count);
  void change(std::uint64_t first, std::uint64_t count, BlockState state);
  Result<> flush_once();
  void copy_page(std::size_t page, std::byte* to) const;
  Result<> save_states(const std::vector<std::size_t>& pages, const Bytes& copies);

  const std::int64_t number_;
  Fd image_;
  StatesFile states_file_;
  Path twin_path_;
  Fd twin_;
  Mapping mapping_;
  BlockStates states_;
  std::vector<Page> pages_;
  std::array<std::mutex, stripe_count> stripes_;

  std::atomic<std::uint64_t> hidden_blocks_ = 0;  ///< Absent ones that became zero.
  std::atomic<bool> unflushed_ = true;            ///< Something was written since the last flush began.
  std::mutex flushing_;
  std::condition_variable flushed_;
  bool flush_running_ = false, flush_refused_ = false;
  std::uint64_t flushes_begun_ = 0, flushes_done_ = 0;
  Result<> last_flush_;
};

}  // namespace sprite::store
