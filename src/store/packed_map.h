#pragma once
/// PackedMap: a volume as one Root shows it, read from packs. Nodes and the chunks read last are kept in memory.
#include <unordered_map>

#include "store/map_node.h"

namespace sprite::store {

class PackedMap {
 public:
  /// Chunks in a row of one kind; objects come singly.
  struct Found {
    Entry::Kind kind = Entry::Kind::absent;
    std::uint64_t chunks = 0;
    PackName pack{};
    ObjectPlace place{};
  };

  PackedMap(std::shared_ptr<PackStore> packs, const Root& root) : packs_(std::move(packs)), root_(root) {}

  const Root& root() const { return root_; }
  /// The chunks from `first` on, at most `count` (> 0). Errors: as PackStore::read().
  Result<Found> find(std::uint64_t first, std::uint64_t count) const;
  /// The 64 KiB of a chunk that find() found. Errors: as PackStore::read().
  Result<std::shared_ptr<const Bytes>> read(const Found& chunk) const;
  /// The node that an entry of a node one level up names; the root for no entry. Errors: as PackStore::read().
  Result<std::shared_ptr<const Node>> node(const PackName& pack, const ObjectPlace& place, unsigned level) const;
  Result<std::shared_ptr<const Node>> root_node() const {
    return node(root_.pack, {root_.offset, root_.length, root_.checksum}, Node::levels - 1);
  }

 private:
  struct Key {
    PackName pack{};
    std::uint32_t offset = 0;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const {
      return load_little<std::uint64_t>(key.pack.data()) ^ key.offset * 0x9e3779b97f4a7c15U;
    }
  };
  /// Keeps what was used lately: when one half is full, the other is forgotten.
  template <class T>
  class Cache {
   public:
    explicit Cache(std::size_t half) : half_(half) {}
    std::shared_ptr<const T> find(const Key& key);
    void keep(const Key& key, std::shared_ptr<const T> value);

   private:
    const std::size_t half_;
    std::mutex mutex_;
    std::unordered_map<Key, std::shared_ptr<const T>, Hash> young_, old_;
  };

  const std::shared_ptr<PackStore> packs_;
  const Root root_;
  mutable Cache<Node> nodes_{512};
  mutable Cache<Bytes> chunks_{16};
};

}  // namespace sprite::store
