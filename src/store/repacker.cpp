#include "store/repacker.h"

#include <unistd.h>

#include <algorithm>

#include "base/failpoint.h"
#include "store/pack_sink.h"

namespace sprite::store {
namespace {

using Key = std::pair<PackName, std::uint32_t>;

ObjectPlace place_of(const Root& root) { return {root.offset, root.length, root.checksum}; }

/// Finds out how many bytes of map nodes lie above the objects of each pack in question.
class NodesAbove {
 public:
  NodesAbove(PackStore& packs, const std::vector<PackLiveness>& asked) : packs_(packs) {
    for (const PackLiveness& pack : asked) bytes_[pack.name] = 0;
  }
  Result<> add(const Root& root) {
    TRY(visit(root.pack, place_of(root), Node::levels - 1));
    return {};
  }
  std::uint64_t bytes(const PackName& pack) const { return bytes_.at(pack); }

 private:
  using Names = std::set<PackName>;

  /// Which of the packs a node's tree needs.
  Result<const Names*> visit(const PackName& pack, const ObjectPlace& place, unsigned level) {
    const Key key{pack, place.offset};
    if (const auto known = below_.find(key); known != below_.end()) return &known->second;
    TRY_LET(const Bytes bytes, packs_.read(pack, place));
    TRY_LET(const Node node, Node::decode(bytes, level, pack));
    Names names;
    for (const PackName& each : node.packs)
      if (each != pack && bytes_.contains(each)) names.insert(each);
    if (bytes_.contains(pack)) names.insert(pack);
    for (const Entry& entry : node.entries) {
      if (entry.kind != Entry::Kind::object || level == 0) continue;
      TRY_LET(const Names* const below, visit(node.pack_of(entry), entry.place, level - 1));
      names.insert(below->begin(), below->end());
    }
    for (const PackName& each : names)
      if (each != pack) bytes_[each] += place.length;
    return &below_.emplace(key, std::move(names)).first->second;
  }

  PackStore& packs_;
  std::map<PackName, std::uint64_t> bytes_;
  std::map<Key, Names> below_;
};

/// Writes maps anew that name nothing in the packs to be emptied.
class Mover {
 public:
  Mover(PackStore& packs, std::set<PackName> emptied) : packs_(packs), emptied_(std::move(emptied)), sink_(packs) {}

  Result<> add(const Root& root) {
    TRY_LET(const NewEntry moved, node({root.pack, place_of(root)}, Node::levels - 1));
    if (moved.added) roots_.emplace(Key{root.pack, root.offset}, moved);
    return {};
  }
  Result<> finish() { return sink_.finish(); }
  /// What `root` became; nothing if it stayed.
  std::optional<Root> moved(const Root& root) const {
    const auto found = roots_.find({root.pack, root.offset});
    if (found == roots_.end()) return std::nullopt;
    const Reference at = sink_.reference(found->second);
    return Root{at.pack, at.place.offset, at.place.length, at.place.checksum};
  }

 private:
  template <class Make>
  Result<NewEntry> once(const Reference& old, Make make) {
    const Key key{old.pack, old.place.offset};
    if (const auto known = moved_.find(key); known != moved_.end()) return known->second;
    TRY_LET(const NewEntry made, make());
    return moved_.emplace(key, made).first->second;
  }

  Result<NewEntry> chunk(const Reference& old) {
    if (!emptied_.contains(old.pack)) return NewEntry{Entry::Kind::object, old, {}};
    return once(old, [&]() -> Result<NewEntry> {
      TRY_LET(const Bytes content, packs_.read(old.pack, old.place));
      TRY(sink_.make_room());
      TRY_LET(const ObjectPlace place, sink_.add(content));
      return sink_.remember(place);
    });
  }

  Result<NewEntry> node(const Reference& old, unsigned level) {
    return once(old, [&]() -> Result<NewEntry> {
      TRY_LET(const Bytes bytes, packs_.read(old.pack, old.place));
      TRY_LET(const Node node, Node::decode(bytes, level, old.pack));
      bool changed = emptied_.contains(old.pack);
      std::vector<NewEntry> entries;
      for (std::size_t i = 0; i < Node::fanout; ++i) {
        NewEntry entry = from_node(node, i);
        if (entry.kind == Entry::Kind::object) {
          TRY_LET(entry, level == 0 ? chunk(entry.old) : this->node(entry.old, level - 1));
        }
        changed |= entry.added.has_value();
        entries.push_back(std::move(entry));
      }
      return changed ? sink_.add_node(entries, level) : Result<NewEntry>(NewEntry{Entry::Kind::object, old, {}});
    });
  }

  PackStore& packs_;
  const std::set<PackName> emptied_;
  PackSink sink_;
  std::map<Key, NewEntry> moved_, roots_;
};

/// Those whose objects, with the nodes above them, take clearly less than the pack; the emptiest first.
std::set<PackName> worth_moving(std::vector<PackLiveness> sparse, const NodesAbove& above,
                                std::uint64_t sparse_percent) {
  const std::uint64_t cost_percent_max = (sparse_percent + 100) / 2;
  std::ranges::sort(sparse, {}, [](const PackLiveness& pack) { return std::pair(pack.live_bytes, pack.name); });
  std::set<PackName> worth;
  std::uint64_t moved = 0;
  for (const PackLiveness& pack : sparse) {
    const std::uint64_t cost = pack.live_bytes + above.bytes(pack.name);
    if (cost * 100 > pack.bytes * cost_percent_max || moved + cost > moved_bytes_max) continue;
    moved += cost;
    worth.insert(pack.name);
  }
  return worth;
}

/// Makes a volume's layers name what their roots became. Those that changed meanwhile stay.
Result<> exchange_roots_of_volume(const Path& directory, const Mover& mover) {
  TRY_LET(Catalogue catalogue, Catalogue::open(directory));
  TRY_LET(meta::Transaction transaction, catalogue.begin());
  TRY_LET(const auto layers, catalogue.layers());
  bool changed = false;
  for (const LayerRow& layer : layers) {
    const auto moved = layer.root ? mover.moved(*layer.root) : std::nullopt;
    if (!moved) continue;
    TRY(catalogue.set_root(layer.number, *moved));
    changed = true;
  }
  return changed ? std::move(transaction).commit() : Result<>();
}

/// The same; a volume that was destroyed or got another name meanwhile is left out, and keeps the packs it names.
Result<> exchange_roots(const Path& directory, const Mover& mover) {
  auto exchanged = exchange_roots_of_volume(directory, mover);
  const bool gone = ::access((directory / "volume.db").c_str(), F_OK) != 0 && errno == ENOENT;
  return gone ? Result<>() : exchanged;
}

}  // namespace

Result<std::vector<Root>> roots_of(const Path& directory) {
  TRY_LET(Catalogue catalogue, Catalogue::open(directory));
  return catalogue.roots_in_use();
}

Result<std::size_t> repack(PackStore& packs, const std::vector<Path>& volumes, const std::vector<PackLiveness>& sparse,
                           std::uint64_t sparse_percent) {
  std::vector<Root> roots;
  for (const Path& directory : volumes) {
    TRY_LET(const auto some, roots_of(directory));
    roots.insert(roots.end(), some.begin(), some.end());
  }
  NodesAbove above(packs, sparse);
  for (const Root& root : roots) TRY(above.add(root));
  const std::set<PackName> worth = worth_moving(sparse, above, sparse_percent);
  if (worth.empty()) return std::size_t{0};
  Mover mover(packs, worth);
  for (const Root& root : roots) TRY(mover.add(root));
  TRY(mover.finish());
  failpoint(Failpoint::collect_moved);
  for (const Path& directory : volumes) {
    TRY(exchange_roots(directory, mover));
    failpoint(Failpoint::collect_exchanged);
  }
  TRY(packs.tell_moved());
  return worth.size();
}

}  // namespace sprite::store
