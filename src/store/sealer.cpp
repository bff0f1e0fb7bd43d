#include "store/sealer.h"

namespace sprite::store {
namespace {

constexpr std::uint64_t chunk_blocks = chunk_bytes / block_bytes;

/// An object somewhere; the name is all zeros while its pack is being written.
struct Reference {
  PackName pack{};
  ObjectPlace place{};
};

/// Gathers objects into packs.
class PackSink {
 public:
  explicit PackSink(PackStore& packs) : packs_(packs) {}

  /// Makes sure that the next object will be in the same pack as those that are not named yet, or that all are named.
  Result<> make_room() {
    if (writer_.has_room_for(object_bytes_max)) return {};
    return finish();
  }
  Result<ObjectPlace> add(ByteView content) { return writer_.add(content); }
  void drop_last(const ObjectPlace& last) { writer_.drop_last(last); }
  /// A reference to an object of the pack being written; it gets its name from finish().
  std::size_t remember(const ObjectPlace& place) {
    references_.push_back({{}, place});
    return references_.size() - 1;
  }
  const Reference& reference(std::size_t index) const { return references_[index]; }
  Result<> finish() {
    if (writer_.empty()) return {};
    const Bytes bytes = writer_.take();
    TRY_LET(const PackName name, packs_.put(bytes));
    for (; named_ < references_.size(); ++named_) references_[named_].pack = name;
    packed_bytes_ += bytes.size();
    return {};
  }
  std::uint64_t packed_bytes() const { return packed_bytes_; }

 private:
  PackStore& packs_;
  PackWriter writer_;
  std::vector<Reference> references_;
  std::size_t named_ = 0;
  std::uint64_t packed_bytes_ = 0;
};

/// What an entry of a node under construction will be.
struct NewEntry {
  Entry::Kind kind = Entry::Kind::absent;
  Reference old{};                     ///< of an object that exists
  std::optional<std::size_t> added{};  ///< of an object in the sink
};

class Sealing {
 public:
  Sealing(PackStore& packs, const BlockStates& touched, std::uint64_t volume_bytes, const Chain& view,
          const PackedMap* before, const std::atomic<bool>& ending)
      : sink_(packs),
        touched_(touched),
        blocks_(volume_bytes / block_bytes),
        view_(view),
        before_(before),
        ending_(ending) {}

  Result<Sealed> run() {
    NewEntry root;
    if (before_) root = {Entry::Kind::object, {before_->root().pack, place_of(before_->root())}, {}};
    TRY_LET(NewEntry sealed, entry(Node::levels, 0, root));
    if (sealed.kind != Entry::Kind::object) {
      TRY_LET(sealed, write(std::vector<NewEntry>(Node::fanout, sealed), Node::levels - 1));  // a root is always a node
    }
    TRY(sink_.finish());
    const Reference at = sealed.added ? sink_.reference(*sealed.added) : sealed.old;
    result_.root = {at.pack, at.place.offset, at.place.length, at.place.checksum};
    result_.packed_bytes = sink_.packed_bytes();
    return result_;
  }

 private:
  static ObjectPlace place_of(const Root& root) { return {root.offset, root.length, root.checksum}; }

  /// The new form of an entry in a node of `level` (levels: the root itself) that stands for the chunks from `first`
  /// on.
  Result<NewEntry> entry(unsigned level, std::uint64_t first, const NewEntry& old) {
    const std::uint64_t block = first * chunk_blocks;
    if (block >= blocks_) return old;
    const std::uint64_t count = std::min(Node::chunks_per_entry(level) * chunk_blocks, blocks_ - block);
    if (touched_.all(block, count, BlockState::absent)) return old;
    if (level == 0) return chunk(first, old);
    std::shared_ptr<const Node> node;
    if (old.kind == Entry::Kind::object) {
      TRY_LET(node, before_->node(old.old.pack, old.old.place, level - 1, Wait::yes));
    }
    std::vector<NewEntry> entries;
    bool changed = false;
    for (std::size_t i = 0; i < Node::fanout; ++i) {
      const NewEntry before = node ? from_node(*node, i) : NewEntry{old.kind, {}, {}};
      TRY_LET(NewEntry after, entry(level - 1, first + i * Node::chunks_per_entry(level - 1), before));
      changed |= differs(before, after);
      entries.push_back(std::move(after));
    }
    return changed ? write(entries, level - 1) : Result<NewEntry>(old);
  }

  static NewEntry from_node(const Node& node, std::size_t i) {
    const Entry& entry = node.entries[i];
    if (entry.kind != Entry::Kind::object) return {entry.kind, {}, {}};
    return {entry.kind, {node.pack_of(entry), entry.place}, {}};
  }

  static bool differs(const NewEntry& before, const NewEntry& after) {
    return after.added || before.kind != after.kind;
  }

  Result<NewEntry> chunk(std::uint64_t chunk, const NewEntry& old) {
    if (ending_) return Error{Error::Kind::unavailable, "the disk is being closed"};
    ++result_.chunks_touched;
    Bytes content(chunk_bytes);
    const std::uint64_t offset = chunk * chunk_bytes;
    TRY(view_.read(offset, MutableByteView(content).first(std::min(chunk_bytes, blocks_ * block_bytes - offset)),
                   Wait::yes));
    if (std::ranges::all_of(content, [](std::byte each) { return each == std::byte{0}; }))
      return NewEntry{Entry::Kind::zero, {}, {}};
    TRY(sink_.make_room());
    TRY_LET(const ObjectPlace place, sink_.add(content));
    if (old.kind == Entry::Kind::object && old.old.place.checksum == place.checksum) {
      TRY_LET(const auto kept,
              before_->read({old.kind, 1, {old.old.pack, old.old.place.offset}, old.old.place}, Wait::yes));
      if (*kept == content) {
        sink_.drop_last(place);
        return old;
      }
    }
    ++result_.chunks_written;
    return NewEntry{Entry::Kind::object, {}, sink_.remember(place)};
  }

  /// Writes a node, or says it in one entry if all of it is zero.
  Result<NewEntry> write(const std::vector<NewEntry>& entries, unsigned level) {
    const auto zero = [](const NewEntry& each) { return each.kind == Entry::Kind::zero; };
    if (level < Node::levels - 1 && std::ranges::all_of(entries, zero)) return entries.front();
    TRY(sink_.make_room());
    Node node{.level = level};
    std::map<PackName, std::uint16_t> index;
    for (std::size_t i = 0; i < Node::fanout; ++i) {
      node.entries[i].kind = entries[i].kind;
      if (entries[i].kind != Entry::Kind::object) continue;
      const Reference at = entries[i].added ? sink_.reference(*entries[i].added) : entries[i].old;
      const auto [known, is_new] = index.emplace(at.pack, static_cast<std::uint16_t>(node.packs.size()));
      if (is_new) node.packs.push_back(at.pack);
      node.entries[i].pack = known->second;
      node.entries[i].place = at.place;
    }
    TRY_LET(const ObjectPlace place, sink_.add(node.encode()));
    return NewEntry{Entry::Kind::object, {}, sink_.remember(place)};
  }

  PackSink sink_;
  const BlockStates& touched_;
  const std::uint64_t blocks_;
  const Chain& view_;
  const PackedMap* before_;
  const std::atomic<bool>& ending_;
  Sealed result_;
};

}  // namespace

Result<Sealed> seal_layer(PackStore& packs, const BlockStates& touched, std::uint64_t volume_bytes, const Chain& view,
                          const PackedMap* before, const std::atomic<bool>& ending) {
  return Sealing(packs, touched, volume_bytes, view, before, ending).run();
}

}  // namespace sprite::store
