#pragma once
/// PackSink: gathers new objects of a map into packs: what sealing and repacking write through.
///
/// Objects of a pack under construction have no name yet; they are remembered by an index, and nodes say "my own pack"
/// of them. So a node always goes into the pack in which its unnamed children are, or behind it.
#include <optional>

#include "store/map_node.h"

namespace sprite::store {

/// An object somewhere; the name is all zeros while its pack is being written.
struct Reference {
  PackName pack{};
  ObjectPlace place{};
};

/// What an entry of a node under construction will be.
struct NewEntry {
  Entry::Kind kind = Entry::Kind::absent;
  Reference old{};                     ///< of an object that exists
  std::optional<std::size_t> added{};  ///< of an object in the sink
};

/// Entry `i` of a node that exists.
NewEntry from_node(const Node& node, std::size_t i);

class PackSink {
 public:
  explicit PackSink(PackStore& packs) : packs_(packs) {}

  /// Makes sure that the next object will be in the same pack as those that are not named yet, or that all are named.
  /// Errors: as PackStore::put().
  Result<> make_room();
  /// Adds an object that drop_last() may take back, until it is remembered. Errors: internal.
  Result<ObjectPlace> add(ByteView content) { return writer_.add(content); }
  void drop_last(const ObjectPlace& last) { writer_.drop_last(last); }
  /// An entry for an object of the pack being written.
  NewEntry remember(const ObjectPlace& place);
  /// Adds a node with these 256 entries. Errors: as make_room().
  Result<NewEntry> add_node(const std::vector<NewEntry>& entries, unsigned level);
  /// Where an entry's object is; its pack has a name after finish().
  Reference reference(const NewEntry& entry) const { return entry.added ? references_[*entry.added] : entry.old; }
  /// Stores what there is; everything added is durable and has a name. Errors: as PackStore::put().
  Result<> finish();
  std::uint64_t packed_bytes() const { return packed_bytes_; }

 private:
  PackStore& packs_;
  PackWriter writer_;
  std::vector<Reference> references_;
  std::size_t named_ = 0;
  std::uint64_t packed_bytes_ = 0;
};

}  // namespace sprite::store
