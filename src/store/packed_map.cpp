#include "store/packed_map.h"

namespace sprite::store {

template <class T>
std::shared_ptr<const T> PackedMap::Cache<T>::find(const Key& key) {
  std::lock_guard hold(mutex_);
  if (const auto found = young_.find(key); found != young_.end()) return found->second;
  if (const auto found = old_.find(key); found != old_.end()) {
    auto value = found->second;
    young_.emplace(key, value);
    return value;
  }
  return nullptr;
}

template <class T>
void PackedMap::Cache<T>::keep(const Key& key, std::shared_ptr<const T> value) {
  std::lock_guard hold(mutex_);
  if (young_.size() >= half_) old_ = std::exchange(young_, {});
  young_.emplace(key, std::move(value));
}

Result<std::shared_ptr<const Node>> PackedMap::node(const PackName& pack, const ObjectPlace& place,
                                                    unsigned level) const {
  const Key key{pack, place.offset};
  if (auto kept = nodes_.find(key)) return kept;
  TRY_LET(const Bytes bytes, packs_->read(pack, place));
  TRY_LET(Node decoded, Node::decode(bytes, level, pack));
  auto node = std::make_shared<const Node>(std::move(decoded));
  nodes_.keep(key, node);
  return node;
}

Result<PackedMap::Found> PackedMap::find(std::uint64_t first, std::uint64_t count) const {
  TRY_LET(auto node, root_node());
  for (unsigned level = Node::levels - 1;; --level) {
    const std::uint64_t unit = Node::chunks_per_entry(level);
    std::size_t at = first / unit % Node::fanout;
    const Entry entry = node->entries[at];
    if (entry.kind != Entry::Kind::object) {
      std::uint64_t covered = unit - first % unit;
      while (covered < count && ++at < Node::fanout && node->entries[at].kind == entry.kind) covered += unit;
      return Found{entry.kind, std::min(covered, count), {}, {}};
    }
    if (level == 0) return Found{entry.kind, 1, node->pack_of(entry), entry.place};
    TRY_LET(node, this->node(node->pack_of(entry), entry.place, level - 1));
  }
}

Result<std::shared_ptr<const Bytes>> PackedMap::read(const Found& chunk) const {
  const Key key{chunk.pack, chunk.place.offset};
  if (auto kept = chunks_.find(key)) return kept;
  TRY_LET(Bytes bytes, packs_->read(chunk.pack, chunk.place));
  if (bytes.size() != chunk_bytes)
    return Error{Error::Kind::corrupt, "a chunk in pack " + to_string(chunk.pack) + " has the wrong size"};
  auto kept = std::make_shared<const Bytes>(std::move(bytes));
  chunks_.keep(key, kept);
  return kept;
}

}  // namespace sprite::store
