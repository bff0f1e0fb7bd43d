#pragma once
/// PackedMap: a volume as one Root shows it, read from packs.
#include <optional>
#include <unordered_map>

#include "store/map_node.h"

namespace sprite::store {

/// Where an object is.
struct ObjectKey {
  PackName pack{};
  std::uint32_t offset = 0;
  bool operator==(const ObjectKey&) const = default;
};

/// Keeps what was used lately: when one half is full, the other is forgotten.
template <class T>
class ObjectCache {
 public:
  explicit ObjectCache(std::size_t half) : half_(half) {}
  std::shared_ptr<const T> find(const ObjectKey& key);
  void keep(const ObjectKey& key, std::shared_ptr<const T> value);

 private:
  struct Hash {
    std::size_t operator()(const ObjectKey& key) const {
      return load_little<std::uint64_t>(key.pack.data()) ^ key.offset * 0x9e3779b97f4a7c15U;
    }
  };
  using Values = std::unordered_map<ObjectKey, std::shared_ptr<const T>, Hash>;

  const std::size_t half_;
  std::mutex mutex_;
  Values young_, old_;
};

/// Packs, with the objects of them that were read last: 5 KiB per node, 64 KiB per chunk. Objects never change, so that
/// the maps of one volume share it.
struct PackCache {
  explicit PackCache(std::shared_ptr<PackStore> store) : packs(std::move(store)) {}
  const std::shared_ptr<PackStore> packs;
  ObjectCache<Node> nodes{1024};
  ObjectCache<Bytes> chunks{64};
};

enum class Wait { no, yes };

class PackedMap {
 public:
  /// Chunks in a row of one kind; objects come singly.
  struct Found {
    Entry::Kind kind = Entry::Kind::absent;
    std::uint64_t chunks = 0;
    ObjectKey key{};
    ObjectPlace place{};
  };

  PackedMap(std::shared_ptr<PackCache> cache, const Root& root) : cache_(std::move(cache)), root_(root) {}

  const Root& root() const { return root_; }
  /// The chunks from `first` on, at most `count` (> 0); without waiting, nothing if that needs a pack to be read.
  /// Errors: as PackStore::read().
  Result<std::optional<Found>> find(std::uint64_t first, std::uint64_t count, Wait wait) const;
  /// The 64 KiB of a chunk that find() found; without waiting, null if it would have to be read. Errors: as
  /// PackStore::read().
  Result<std::shared_ptr<const Bytes>> read(const Found& chunk, Wait wait) const;
  /// The node at that place; without waiting, null if it would have to be read. Errors: as PackStore::read(), corrupt.
  Result<std::shared_ptr<const Node>> node(const PackName& pack, const ObjectPlace& place, unsigned level,
                                           Wait wait) const;

 private:
  const std::shared_ptr<PackCache> cache_;
  const Root root_;
};

}  // namespace sprite::store
