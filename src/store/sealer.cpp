#include "store/sealer.h"

#include "store/pack_sink.h"

namespace sprite::store {
namespace {

constexpr std::uint64_t chunk_blocks = chunk_bytes / block_bytes;

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
    const Reference at = sink_.reference(sealed);
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
    const std::uint64_t replaced = old.kind == Entry::Kind::object ? old.old.place.length : 0;
    if (std::ranges::all_of(content, [](std::byte each) { return each == std::byte{0}; })) {
      result_.replaced_bytes += replaced;
      return NewEntry{Entry::Kind::zero, {}, {}};
    }
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
    result_.replaced_bytes += replaced;
    return sink_.remember(place);
  }

  /// Writes a node, or says it in one entry if all of it is zero.
  Result<NewEntry> write(const std::vector<NewEntry>& entries, unsigned level) {
    const auto zero = [](const NewEntry& each) { return each.kind == Entry::Kind::zero; };
    if (level < Node::levels - 1 && std::ranges::all_of(entries, zero)) return entries.front();
    return sink_.add_node(entries, level);
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
