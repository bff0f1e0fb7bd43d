#include "store/map_node.h"

#include <algorithm>

namespace sprite::store {
namespace {

constexpr std::uint32_t magic = 0x4d525053;  // "SPRM"
constexpr std::uint16_t version = 1;
constexpr std::size_t header_bytes = 16, entry_bytes = 16;

Error corrupt(std::string what) { return Error{Error::Kind::corrupt, "a map node is damaged: " + std::move(what)}; }

}  // namespace

Bytes Node::encode() const {
  std::vector<PackName> others;
  std::vector<std::uint16_t> index(packs.size(), 0);
  for (const Entry& entry : entries) {
    if (entry.kind != Entry::Kind::object || packs[entry.pack] == PackName{} || index[entry.pack] != 0) continue;
    others.push_back(packs[entry.pack]);
    index[entry.pack] = static_cast<std::uint16_t>(others.size());
  }
  Bytes bytes(header_bytes + others.size() * sizeof(PackName) + fanout * entry_bytes);
  std::byte* at = bytes.data();
  store_little(at, magic);
  store_little(at + 4, version);
  store_little(at + 6, static_cast<std::uint16_t>(level));
  store_little(at + 8, static_cast<std::uint16_t>(others.size()));
  at += header_bytes;
  for (const PackName& name : others) at = std::ranges::copy(name, at).out;
  for (const Entry& entry : entries) {
    if (entry.kind == Entry::Kind::object) {
      store_little(at, index[entry.pack]);
      store_little(at + 4, entry.place.offset);
      store_little(at + 8, entry.place.length);
      store_little(at + 12, entry.place.checksum);
    }
    store_little(at + 2, static_cast<std::uint16_t>(entry.kind));
    at += entry_bytes;
  }
  return bytes;
}

Result<Node> Node::decode(ByteView bytes, unsigned expected_level, const PackName& own) {
  if (bytes.size() < header_bytes || load_little<std::uint32_t>(bytes.data()) != magic)
    return corrupt("it is something else");
  if (load_little<std::uint16_t>(bytes.data() + 4) != version) return corrupt("its version is unknown");
  Node node;
  node.level = load_little<std::uint16_t>(bytes.data() + 6);
  const std::size_t others = load_little<std::uint16_t>(bytes.data() + 8);
  if (node.level != expected_level) return corrupt("it is of another level");
  if (others > fanout || bytes.size() != header_bytes + others * sizeof(PackName) + fanout * entry_bytes)
    return corrupt("its length is wrong");
  node.packs.resize(others + 1);
  node.packs[0] = own;
  const std::byte* at = bytes.data() + header_bytes;
  for (std::size_t i = 1; i <= others; ++i, at += sizeof(PackName))
    std::copy_n(at, sizeof(PackName), node.packs[i].begin());
  for (Entry& entry : node.entries) {
    const auto kind = load_little<std::uint16_t>(at + 2);
    entry.pack = load_little<std::uint16_t>(at);
    if (kind > 2 || entry.pack > others) return corrupt("an entry is impossible");
    entry.kind = static_cast<Entry::Kind>(kind);
    entry.place = {load_little<std::uint32_t>(at + 4), load_little<std::uint32_t>(at + 8),
                   load_little<std::uint32_t>(at + 12)};
    at += entry_bytes;
  }
  return node;
}

}  // namespace sprite::store
