#include "store/collector.h"

#include <set>

#include "store/catalogue.h"

namespace sprite::store {
namespace {

/// Walks maps and gathers the packs that they name. What two maps share is looked at once.
class Walk {
 public:
  explicit Walk(PackStore& packs) : packs_(packs) {}

  Result<> visit(const PackName& pack, const ObjectPlace& place, unsigned level) {
    if (!seen_.emplace(pack, place.offset).second) return {};
    needed_.insert(pack);
    TRY_LET(const Bytes bytes, packs_.read(pack, place));
    TRY_LET(const Node node, Node::decode(bytes, level, pack));
    for (const Entry& entry : node.entries) {
      if (entry.kind != Entry::Kind::object) continue;
      needed_.insert(node.pack_of(entry));
      if (level > 0) TRY(visit(node.pack_of(entry), entry.place, level - 1));
    }
    return {};
  }
  const std::set<PackName>& needed() const { return needed_; }

 private:
  PackStore& packs_;
  std::set<std::pair<PackName, std::uint32_t>> seen_;
  std::set<PackName> needed_;
};

Result<> visit_volume(Walk& walk, const Path& directory) {
  TRY_LET(Catalogue catalogue, Catalogue::open(directory));
  TRY_LET(const auto layers, catalogue.layers());
  for (const LayerRow& layer : layers)
    if (layer.root)
      TRY(walk.visit(layer.root->pack, {layer.root->offset, layer.root->length, layer.root->checksum},
                     Node::levels - 1));
  return {};
}

}  // namespace

Result<Collected> collect_packs(PackStore& packs, const Volumes& volumes, std::chrono::seconds age_min,
                                DryRun dry_run) {
  const std::unique_lock alone(packs.naming());
  Walk walk(packs);
  TRY_LET(const std::vector<Path> directories, volumes());
  for (const Path& directory : directories) TRY(visit_volume(walk, directory));
  Collected collected;
  std::size_t found = 0;
  std::vector<PackName> spent;
  TRY(packs.for_each([&](const PackName& name, std::uint64_t bytes, std::chrono::seconds age) -> Result<> {
    if (walk.needed().contains(name)) {
      ++found;
      collected.bytes_needed += bytes;
    } else if (age >= age_min) {
      spent.push_back(name);
      collected.bytes_removed += bytes;
    }
    return {};
  }));
  collected.packs_needed = walk.needed().size();
  collected.packs_removed = spent.size();
  if (found != walk.needed().size())
    return Error{Error::Kind::not_found,
                 std::to_string(walk.needed().size() - found) + " packs that are needed are missing"};
  if (dry_run == DryRun::yes) return collected;
  for (const PackName& name : spent) TRY(packs.remove(name));
  return collected;
}

}  // namespace sprite::store
