#pragma once
/// Catalogue: volume.db as the store uses it: layers and checkpoints. Not on the path of reads and writes.
///
/// Methods that change something run inside the caller's transaction (begin()).
#include <optional>
#include <vector>

#include "meta/database.h"
#include "store/checkpoint.h"
#include "store/layer.h"
#include "store/map_node.h"
#include "store/volume_database.h"

namespace sprite::store {

/// What a map can name.
constexpr std::uint64_t volume_bytes_max = map_bytes_max;

struct LayerRow {
  std::int64_t number = 0;
  std::optional<std::int64_t> parent{};
  LayerId id{};
  bool local = true;
  std::optional<std::int64_t> local_below{};
  std::optional<Root> root{};
};

class Catalogue {
 public:
  /// The catalogue of an existing volume. Errors: not_found, corrupt, invalid, busy, unavailable.
  static Result<Catalogue> open(const Path& directory);
  /// The bytes of a volume.db with these layers, the first of which is the top, and rows of `others`, if given.
  static Result<Bytes> build(std::uint64_t size_bytes, const std::vector<LayerRow>& layers, const FillDatabase& others);

  std::uint64_t size_bytes() const { return size_bytes_; }
  LayerFiles files(std::int64_t number, const LayerId& id) const {
    return {directory_ / "layers", number, id, size_bytes_};
  }
  Path image() const { return directory_ / "layers" / (std::to_string(image_layer) + ".img"); }

  Result<std::int64_t> top();
  /// A number that no layer had before, until set_next_layer().
  Result<std::int64_t> next_layer();
  /// `from` and what lies below it, down to the image. Errors: corrupt, unavailable.
  Result<std::vector<LayerRow>> chain(std::int64_t from);
  /// The roots that reads may go through now or later: that of a layer whose children all have roots of their own is
  /// not, unless a checkpoint names the layer; its packs may go. Errors: corrupt, unavailable.
  Result<std::vector<Root>> roots_in_use();
  /// Every layer. Errors: corrupt, unavailable.
  Result<std::vector<LayerRow>> layers();
  Result<std::vector<Checkpoint>> checkpoints();
  /// Errors: not_found.
  Result<Checkpoint> checkpoint(std::int64_t number);

  Result<meta::Transaction> begin() { return meta::Transaction::begin(database_); }
  Result<> set_next_layer(std::int64_t number);
  Result<> insert(const LayerRow& layer);
  Result<> set_top(std::int64_t layer);
  Result<> set_root(std::int64_t layer, const Root& root);
  Result<> set_not_local(std::int64_t layer);
  Result<> set_local_below(std::int64_t layer, std::optional<std::int64_t> below);
  /// Removes a layer; its children become its parent's.
  Result<> splice_out(const LayerRow& layer);
  Result<Checkpoint> add_checkpoint(std::int64_t layer, Automatic automatic, Consistency consistency,
                                    std::string comment);
  Result<> remove_checkpoint(std::int64_t number);
  /// Removes the rows of layers that neither the top nor a checkpoint needs, and of those that only have a root which
  /// no child of theirs needs.
  Result<> tidy();
  /// Whether a checkpoint names the layer, or more than one layer lies over it.
  Result<bool> is_shared(std::int64_t layer);

 private:
  Catalogue(Path directory, meta::Database database)
      : directory_(std::move(directory)), database_(std::move(database)) {}
  Result<std::vector<LayerRow>> read_layers(meta::Query query);
  Error corrupt(std::string_view why) const;

  Path directory_;
  meta::Database database_;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace sprite::store
