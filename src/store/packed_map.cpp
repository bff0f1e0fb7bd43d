#include "store/packed_map.h"

namespace sprite::store {

template <class T>
std::shared_ptr<const T> ObjectCache<T>::find(const ObjectKey& key) {
  std::lock_guard hold(mutex_);
  if (const auto found = young_.find(key); found != young_.end()) return found->second;
  const auto found = old_.find(key);
  if (found == old_.end()) return nullptr;
  return young_.emplace(key, found->second).first->second;
}

template <class T>
void ObjectCache<T>::keep(const ObjectKey& key, std::shared_ptr<const T> value) {
  std::lock_guard hold(mutex_);
  if (young_.size() >= half_) old_ = std::exchange(young_, {});
  young_.emplace(key, std::move(value));
}

Result<std::shared_ptr<const Node>> PackedMap::node(const PackName& pack, const ObjectPlace& place, unsigned level,
                                                    Wait wait) const {
  const ObjectKey key{pack, place.offset};
  if (auto kept = cache_->nodes.find(key)) return kept;
  if (wait == Wait::no) return std::shared_ptr<const Node>();
  TRY_LET(const Bytes bytes, cache_->packs->read(pack, place));
  TRY_LET(Node decoded, Node::decode(bytes, level, pack));
  auto node = std::make_shared<const Node>(std::move(decoded));
  cache_->nodes.keep(key, node);
  return node;
}

Result<std::optional<PackedMap::Found>> PackedMap::find(std::uint64_t first, std::uint64_t count, Wait wait) const {
  PackName pack = root_.pack;
  ObjectPlace place{root_.offset, root_.length, root_.checksum};
  for (unsigned level = Node::levels - 1;; --level) {
    TRY_LET(const auto node, this->node(pack, place, level, wait));
    if (!node) return std::optional<Found>();
    const std::uint64_t unit = Node::chunks_per_entry(level);
    std::size_t at = first / unit % Node::fanout;
    const Entry& entry = node->entries[at];
    if (entry.kind != Entry::Kind::object) {
      std::uint64_t covered = unit - first % unit;
      while (covered < count && ++at < Node::fanout && node->entries[at].kind == entry.kind) covered += unit;
      return std::optional(Found{entry.kind, std::min(covered, count), {}, {}});
    }
    pack = node->pack_of(entry);
    place = entry.place;
    if (level == 0) return std::optional(Found{entry.kind, 1, {pack, place.offset}, place});
  }
}

Result<std::shared_ptr<const Bytes>> PackedMap::read(const Found& chunk, Wait wait) const {
  if (auto kept = cache_->chunks.find(chunk.key)) return kept;
  if (wait == Wait::no) return std::shared_ptr<const Bytes>();
  TRY_LET(Bytes bytes, cache_->packs->read(chunk.key.pack, chunk.place));
  if (bytes.size() != chunk_bytes)
    return Error{Error::Kind::corrupt, "a chunk in pack " + to_string(chunk.key.pack) + " has the wrong size"};
  auto kept = std::make_shared<const Bytes>(std::move(bytes));
  cache_->chunks.keep(chunk.key, kept);
  return kept;
}

template class ObjectCache<Node>;
template class ObjectCache<Bytes>;

}  // namespace sprite::store
