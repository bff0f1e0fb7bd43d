#include "store/pack_sink.h"

namespace sprite::store {

NewEntry from_node(const Node& node, std::size_t i) {
  const Entry& entry = node.entries[i];
  if (entry.kind != Entry::Kind::object) return {entry.kind, {}, {}};
  return {entry.kind, {node.pack_of(entry), entry.place}, {}};
}

Result<> PackSink::make_room() {
  if (writer_.has_room_for(object_bytes_max)) return {};
  return finish();
}

NewEntry PackSink::remember(const ObjectPlace& place) {
  references_.push_back({{}, place});
  return {Entry::Kind::object, {}, references_.size() - 1};
}

Result<NewEntry> PackSink::add_node(const std::vector<NewEntry>& entries, unsigned level) {
  TRY(make_room());
  Node node{.level = level};
  std::map<PackName, std::uint16_t> index;
  for (std::size_t i = 0; i < Node::fanout; ++i) {
    node.entries[i].kind = entries[i].kind;
    if (entries[i].kind != Entry::Kind::object) continue;
    const Reference at = reference(entries[i]);
    const auto [known, is_new] = index.emplace(at.pack, static_cast<std::uint16_t>(node.packs.size()));
    if (is_new) node.packs.push_back(at.pack);
    node.entries[i].pack = known->second;
    node.entries[i].place = at.place;
  }
  TRY_LET(const ObjectPlace place, add(node.encode()));
  return remember(place);
}

Result<> PackSink::finish() {
  if (writer_.empty()) return {};
  const Bytes bytes = writer_.take();
  TRY_LET(const PackName name, packs_.put(bytes));
  for (; named_ < references_.size(); ++named_) references_[named_].pack = name;
  packed_bytes_ += bytes.size();
  return {};
}

}  // namespace sprite::store
