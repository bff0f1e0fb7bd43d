#pragma once
/// Keeper: what is done with an open volume's layers as a whole. Every change is one transaction of volume.db.
///
/// Order of a change: new files are complete and durable, then the transaction names them, then memory follows, then
/// files that nothing names any more are removed. A crash before the transaction leaves files without a row, a crash
/// behind it may too: remove_orphans() at the next open takes both.
///
/// Without a transaction, states of sealed layers go back to absent where newer layers hide what packs have, too: over
/// the layers of a chain from the oldest to the newest, each durable before the next, so that one that lacks a block
/// never lets an older one's bytes through.
///
/// After a transaction whose commit failed, what volume.db says is unknown until it is read again: no further change is
/// made.
///
/// Locks, in order: background_ (one of seal, fold, drop_local at a time; long), packs' naming, the packs' followers,
/// changing_ (volume.db and the disk's layers; short), the disk's gate.
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>

#include "base/locked.h"
#include "store/catalogue.h"
#include "store/disk.h"
#include "store/hidden_blocks.h"
#include "store/volume.h"

namespace sprite::store {

/// How reads go through `layers`.
Chain chain_of(const Layers& layers);
/// Whether only the local disk has what the layer holds.
bool is_unsealed(const LayerRow& row);

class Keeper {
 public:
  static Result<std::unique_ptr<Keeper>> open(const Path& directory, const Path& runtime_directory,
                                              std::shared_ptr<PackStore> packs);

  Disk& disk() { return *disk_; }
  Result<> close();
  bool closed() const { return closed_; }
  /// A seal under way gives up, and no other begins.
  void end_seals() { ending_ = true; }

  Result<Checkpoint> checkpoint(std::string comment, Automatic automatic, Consistency consistency);
  Result<std::vector<Checkpoint>> checkpoints();
  Result<> remove_checkpoint(std::int64_t number);
  Result<Checkpoint> restore(std::int64_t number, Consistency before);
  Result<> fork(const Path& directory, std::optional<std::int64_t> number, FillDatabase others);
  Result<> cut();
  /// A cut, if that keeps the guest's requests waiting for a moment only; false if it writes too fast for that.
  Result<bool> cut_between_writes();
  Result<> prepare();
  Result<std::string> mark_instant();
  Result<std::optional<std::string>> instant();
  Result<bool> seal();
  Result<bool> fold(std::size_t layers_max);
  Result<bool> drop_local();
  /// Gives back what sealed layers hold of blocks that newer ones hide, if it is more than `bytes_max`; how much it
  /// was.
  Result<std::uint64_t> give_back_hidden(std::uint64_t bytes_max);
  Result<Usage> usage();

  /// A checkpoint as reads see it. It keeps the files of its layers, so nobody holds one for longer than a read, nor
  /// calls the keeper meanwhile.
  struct View {
    Layers layers{};
    Chain chain;
  };
  /// Without waiting: null if it is not open yet. Errors: not_found, corrupt, unavailable.
  Result<std::shared_ptr<const View>> view(std::int64_t number, Wait wait);

 private:
  using LayerPointer = std::shared_ptr<Layer>;
  /// A top layer that waits to be pushed: its files are durable, no row names it.
  struct Spare {
    LayerRow row{};
    std::unique_ptr<TopLayer> layer;
  };

  /// Checkpoints open for reading. Who reads keeps his view when it is forgotten: it must still be waited for.
  struct Views {
    std::map<std::int64_t, std::shared_ptr<const View>> open{};  ///< by checkpoint
    std::vector<std::weak_ptr<const View>> forgotten{};          ///< somebody may read through them still
  };

  /// What a new top is to lie over.
  struct Below {
    std::int64_t number = 0;
    Layers layers{};
  };

  /// Neighbours in the chain.
  struct Pair {
    LayerRow upper_row{}, lower_row{};
    LayerPointer upper, lower;
  };

  Keeper(FileLock lock, Catalogue catalogue, Path runtime_directory, std::shared_ptr<PackStore> packs)
      : lock_(std::move(lock)),
        catalogue_(std::move(catalogue)),
        runtime_directory_(std::move(runtime_directory)),
        packs_(std::move(packs)),
        cache_(packs_ ? std::make_shared<PackCache>(packs_) : nullptr) {}

  Result<> open_layers();
  Result<std::string> name_of_instant();
  bool was_written();
  Result<> follow_moves();
  Result<> remove_orphans();
  /// The layers to read through for `chain` (without the top): local ones down to the first that is not, and a map.
  Result<Layers> layers_for(std::span<const LayerRow> chain);
  Result<LayerPointer> layer(const LayerRow& row);

  template <class Work>
  auto locked(Work work) {
    std::lock_guard one(changing_);
    return work();
  }
  Result<> prepare_spare();
  Result<std::chrono::steady_clock::duration> flush_most();
  Result<meta::Transaction> begin();
  /// Commits, or remembers that nobody knows whether it did.
  Result<> commit(meta::Transaction transaction);
  /// Pushes the spare over `below` (if given: restore) or over the present top. `also` runs in the transaction.
  template <class Also>
  Result<> push(std::optional<Below> below, Also also);
  void remove_files(const LayerRow& row);
  Result<> remove_unneeded_files(const std::vector<LayerRow>& before);
  Result<> make_fork(const Path& directory, std::vector<LayerRow> rows, FillDatabase others);
  Result<> refresh();
  void forget_views();
  void end_views();
  Result<std::vector<HidingLayer>> hiding_layers();
  Result<> give_back_hidden_in(std::size_t first_word, std::size_t words);
  Result<std::vector<LayerRow>> chain_to_seal();
  Result<std::optional<Pair>> pair_to_fold(std::size_t layers_max);

  FileLock lock_;
  Catalogue catalogue_;
  const Path runtime_directory_;
  const std::shared_ptr<PackStore> packs_;
  const std::shared_ptr<PackCache> cache_;
  std::mutex background_, changing_;
  std::atomic<bool> ending_ = false;
  bool uncertain_ = false, closed_ = false;
  std::unique_ptr<Disk> disk_;
  std::optional<Spare> spare_;
  Locked<Views> views_;
  std::optional<PackStore::Follower> follower_;  ///< the last member: what it calls uses the others
};

}  // namespace sprite::store
