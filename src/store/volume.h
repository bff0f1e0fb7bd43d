#pragma once
/// Volume: a sprite's disk, and what can be done with it as a whole: cut, checkpoint, restore, fork, seal, fold.
///
/// A volume is a chain of layers and only the top one is written. Promises, each after a kill of this process as after
/// a crash of the host:
/// - A flush that was answered is there. What was answered after it is there after a kill; after a crash of the host
/// each
///   block is as of the flush or newer.
/// - A checkpoint, restore or fork that was answered is there, one that was not is there wholly or not at all, and no
/// other
///   checkpoint is touched by either.
/// - Nothing is left behind that uses space and belongs to nothing: files that volume.db does not name go at the next
/// open.
#include <memory>

#include "nbd/device.h"
#include "store/checkpoint.h"
#include "store/pack.h"
#include "store/volume_database.h"

namespace sprite::store {

/// Where a volume's bytes are on the host's disk.
struct Usage {
  std::uint64_t apparent_bytes = 0;  ///< the size that the guest sees
  std::uint64_t local_bytes = 0;     ///< in layer files that only this volume has
  std::uint64_t shared_bytes = 0;    ///< in layer files that it shares with its image or with forks
  std::uint64_t unsealed_bytes = 0;  ///< of local_bytes and shared_bytes: not yet in packs
  std::uint64_t cached_bytes = 0;    ///< of local_bytes: in packs as well
  std::size_t layers = 0;            ///< with local files, the top one included
  std::size_t checkpoints = 0;
};

/// When a volume's upkeep does what.
struct UpkeepPolicy {
  std::size_t layers_max = 8;                  ///< longer chains are folded
  std::uint64_t cut_bytes = 256 * MiB;         ///< a top layer larger than this is cut, so that it can be sealed
  std::uint64_t hidden_bytes_max = 128 * MiB;  ///< what trims hide in older layers beyond this is given back
  std::uint64_t local_bytes_max = 64 * GiB;    ///< local copies of sealed layers beyond this are dropped
};

class Volume final : public nbd::Device {
 public:
  /// Makes, inside the existing `directory`, a volume that reads like the file `base` (zeros behind its end). `base` is
  /// linked, never copied or written; it must not change any more. The directory may be renamed afterwards; durable
  /// when this returns, with the rows of `others` in its volume.db. Errors: exists, invalid (size not a multiple of
  /// 4 KiB, or beyond 1 TiB), not_found (no base), no_space, unavailable.
  static Result<> create(const Path& directory, const Path& base, std::uint64_t size_bytes, FillDatabase others = {});

  /// Opens the volume in `directory` for reading and writing; one process at a time. `runtime_directory` (existing,
  /// best on tmpfs) keeps what must outlive this process but not this boot: with it, writes that were answered and not
  /// flushed are still there after a kill. Without `packs` nothing can be sealed. Errors: not_found, busy (open
  /// elsewhere), corrupt, invalid (sealed, and no packs given), no_space, unavailable.
  static Result<std::shared_ptr<Volume>> open(const Path& directory, const Path& runtime_directory,
                                              std::shared_ptr<PackStore> packs = nullptr);

  /// Flushes as far as possible; a volume that was not closed continues at the next open.
  ~Volume() override;

  /// Flushes and forgets what the runtime directory kept. No call but the destructor may follow. Errors: as flush().
  Result<> close();

  /// Keeps this instant: the number of the new checkpoint is its name. The time this takes does not depend on the
  /// disk's content. Errors: no_space, unavailable.
  Result<Checkpoint> checkpoint(std::string comment, Automatic automatic = Automatic::no,
                                Consistency consistency = Consistency::at_rest);
  Result<std::vector<Checkpoint>> checkpoints();
  /// Errors: not_found, no_space, unavailable.
  Result<> remove_checkpoint(std::int64_t number);
  /// The volume reads like the checkpoint from now on (nobody may have it mounted); what it was becomes an automatic
  /// checkpoint, which is returned; `present` is its consistency. Errors: not_found, no_space, corrupt, unavailable.
  Result<Checkpoint> restore(std::int64_t number, Consistency present = Consistency::at_rest);
  /// Makes, inside the existing `directory`, an independent volume that reads like this one now, or like its checkpoint
  /// `number`; `others` as in create(). Errors: not_found, exists, no_space, unavailable.
  Result<> fork(const Path& directory, std::optional<std::int64_t> number = {}, FillDatabase others = {});
  /// All checkpoints as one disk (checkpoint_disk.h says where each begins), for as long as this volume is open.
  nbd::Device& checkpoint_disk();
  /// Ends the top layer without keeping the instant. Errors: no_space, unavailable.
  Result<> cut();
  /// Ends the top layer, unless nothing was written to it, and names this instant. Errors: no_space, unavailable.
  Result<std::string> mark_instant();
  /// The name of the instant at which the volume still is, as mark_instant() gives it; nothing if it was written to
  /// since its last cut. Checkpoints change nothing, going back to one does. Errors: unavailable.
  Result<std::optional<std::string>> instant();
  /// Does now what the next cut, checkpoint, restore or fork would else have to do first. Errors: no_space,
  /// unavailable.
  Result<> prepare();

  /// Seals the oldest layer that is not; false if there is none. Errors: invalid (no packs), no_space, corrupt,
  /// unavailable.
  Result<bool> seal();
  /// Makes the chain one layer shorter if it has more than `layers_max` local ones; false if it has not, or cannot be.
  /// Errors: no_space, corrupt, unavailable.
  Result<bool> fold(std::size_t layers_max);
  /// Removes the oldest sealed layer's local files, whose blocks are read from packs afterwards; false if there is
  /// none.
  Result<bool> drop_local();

  /// Gives back the storage of what sealed layers hold of blocks that newer ones hide, if that is more than
  /// `bytes_max`; returns how much it was. Such blocks of checkpoints are read from packs afterwards. Errors: no_space,
  /// unavailable.
  Result<std::uint64_t> give_back_hidden(std::uint64_t bytes_max);

  /// From now on a thread seals, folds, drops and prepares by itself; until close(). Needs packs.
  void start_upkeep(const UpkeepPolicy& policy);
  /// What the upkeep could not do, and tries again.
  std::optional<Error> upkeep_failure();

  Result<Usage> usage();
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
