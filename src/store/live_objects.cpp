#include "store/live_objects.h"

#include <algorithm>

namespace sprite::store {

void LiveObjects::Objects::add(const ObjectPlace& place) {
  all.push_back(std::uint64_t{place.offset} << 32 | place.length);
  constexpr std::size_t few = 1024;
  if (all.size() > 2 * compacted + few) compact();
}

void LiveObjects::Objects::compact() {
  std::ranges::sort(all);
  const auto same = std::ranges::unique(all);
  all.erase(same.begin(), same.end());
  compacted = all.size();
}

std::uint64_t LiveObjects::bytes(const PackName& pack) {
  const auto number = numbers_.find(pack);
  if (number == numbers_.end()) return 0;
  Objects& objects = needed_[number->second];
  objects.compact();
  std::uint64_t bytes = 0;
  for (const std::uint64_t each : objects.all) bytes += each & 0xffffffff;
  return bytes;
}

std::uint32_t LiveObjects::note(const PackName& pack, const ObjectPlace& place) {
  const auto [number, is_new] = numbers_.emplace(pack, static_cast<std::uint32_t>(needed_.size()));
  if (is_new) needed_.emplace_back();
  needed_[number->second].add(place);
  return number->second;
}

Result<> LiveObjects::add(const Root& root) {
  return visit(root.pack, {root.offset, root.length, root.checksum}, Node::levels - 1);
}

Result<> LiveObjects::visit(const PackName& pack, const ObjectPlace& place, unsigned level) {
  const std::uint32_t number = note(pack, place);
  if (!seen_.insert(std::uint64_t{number} << 32 | place.offset).second) return {};
  TRY_LET(const Bytes bytes, packs_.read(pack, place));
  TRY_LET(const Node node, Node::decode(bytes, level, pack));
  for (const Entry& entry : node.entries) {
    if (entry.kind != Entry::Kind::object) continue;
    if (level > 0) {
      TRY(visit(node.pack_of(entry), entry.place, level - 1));
    } else {
      note(node.pack_of(entry), entry.place);
    }
  }
  return {};
}

}  // namespace sprite::store
