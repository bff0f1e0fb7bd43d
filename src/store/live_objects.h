#pragma once
/// LiveObjects: what the maps of volumes need of each pack, found by walking them. What two maps share is looked at
/// once.
#include <unordered_set>

#include "store/catalogue.h"

namespace sprite::store {

class LiveObjects {
 public:
  explicit LiveObjects(PackStore& packs) : packs_(packs) {}

  /// Adds what a map needs. Errors: as PackStore::read(); corrupt.
  Result<> add(const Root& root);

  std::size_t packs_needed() const { return numbers_.size(); }
  bool needs(const PackName& pack) const { return numbers_.contains(pack); }
  /// Bytes of the pack that are needed, as they are stored.
  std::uint64_t bytes(const PackName& pack);

 private:
  /// Objects of one pack, each as offset and length in one number: some more than once until they are compacted.
  struct Objects {
    std::vector<std::uint64_t> all{};
    std::size_t compacted = 0;  ///< the first so many are sorted and different
    void add(const ObjectPlace& place);
    void compact();
  };

  Result<> visit(const PackName& pack, const ObjectPlace& place, unsigned level);
  std::uint32_t note(const PackName& pack, const ObjectPlace& place);

  PackStore& packs_;
  std::map<PackName, std::uint32_t> numbers_;
  std::vector<Objects> needed_;
  std::unordered_set<std::uint64_t> seen_;  ///< nodes: number of the pack, and offset
};

}  // namespace sprite::store
