#include "store/pack.h"

#include <doctest/doctest.h>

#include "store/map_node.h"
#include "store/packed_map.h"
#include "support/temporary_directory.h"

using namespace sprite;
using namespace sprite::store;

TEST_CASE("what is put into a pack comes out, and nothing else does") {
  const test::TemporaryDirectory folder;
  PackStore store(folder / "packs");
  PackWriter writer;
  const Bytes first(65536, std::byte{1}), second(100, std::byte{2});
  const auto place = writer.add(first), other = writer.add(second);
  REQUIRE(place);
  REQUIRE(other);
  const Bytes bytes = writer.take();
  CHECK(writer.empty());
  const auto name = store.put(bytes);
  REQUIRE(name);
  CHECK(*store.put(bytes) == *name);
  CHECK(*store.read(*name, *place) == first);
  CHECK(*store.read(*name, *other) == second);
  ObjectPlace wrong = *other;
  wrong.checksum = place->checksum;
  CHECK(store.read(*name, wrong).error().kind == Error::Kind::corrupt);
  wrong = {4, 20, 0};
  CHECK(store.read(*name, wrong).error().kind == Error::Kind::corrupt);
  wrong = {16, ~std::uint32_t{0}, 0};
  CHECK(store.read(*name, wrong).error().kind == Error::Kind::corrupt);
  CHECK(store.read(PackName{}, *place).error().kind == Error::Kind::not_found);
  REQUIRE(store.remove(*name));
  CHECK(store.read(*name, *place).error().kind == Error::Kind::not_found);
}

TEST_CASE("a node that was encoded is decoded to the same") {
  Node node{.level = 1};
  node.packs = {PackName{}, PackName{std::byte{1}}, PackName{std::byte{2}}};
  node.entries[0] = {Entry::Kind::object, 0, {16, 100, 7}};
  node.entries[1] = {Entry::Kind::zero, 0, {}};
  node.entries[255] = {Entry::Kind::object, 2, {1, 2, 3}};
  const PackName own{std::byte{9}};
  const auto decoded = Node::decode(node.encode(), 1, own);
  REQUIRE(decoded);
  CHECK(decoded->pack_of(decoded->entries[0]) == own);
  CHECK(decoded->entries[0].place.length == 100);
  CHECK(decoded->entries[1].kind == Entry::Kind::zero);
  CHECK(decoded->entries[2].kind == Entry::Kind::absent);
  CHECK(decoded->pack_of(decoded->entries[255]) == node.packs[2]);
  CHECK(Node::decode(node.encode(), 0, own).error().kind == Error::Kind::corrupt);
  Bytes damaged = node.encode();
  damaged.pop_back();
  CHECK(Node::decode(damaged, 1, own).error().kind == Error::Kind::corrupt);
}

TEST_CASE("a map is searched in runs, and without waiting only in what was read before") {
  const test::TemporaryDirectory folder;
  auto packs = std::make_shared<PackStore>(folder / "packs");
  PackWriter writer;
  const auto chunk = writer.add(Bytes(chunk_bytes, std::byte{5}));
  REQUIRE(chunk);
  Node page{.level = 0, .packs = {PackName{}}};
  page.entries[3] = {Entry::Kind::object, 0, *chunk};
  for (std::size_t i = 4; i < 256; ++i) page.entries[i].kind = Entry::Kind::zero;
  const auto page_place = writer.add(page.encode());
  Node middle{.level = 1, .packs = {PackName{}}};
  middle.entries[2] = {Entry::Kind::object, 0, *page_place};
  middle.entries[3].kind = middle.entries[4].kind = Entry::Kind::zero;
  const auto middle_place = writer.add(middle.encode());
  Node top{.level = 2, .packs = {PackName{}}};
  top.entries[0] = {Entry::Kind::object, 0, *middle_place};
  const auto top_place = writer.add(top.encode());
  const auto name = packs->put(writer.take());
  REQUIRE(name);
  auto cache = std::make_shared<PackCache>(packs);
  const PackedMap map(cache, {*name, top_place->offset, top_place->length, top_place->checksum});
  CHECK_FALSE(*map.find(515, 1, Wait::no));
  const auto found = [&](std::uint64_t first, std::uint64_t count) { return **map.find(first, count, Wait::yes); };
  CHECK(found(0, 1000).kind == Entry::Kind::absent);
  CHECK(found(0, 1000).chunks == 512);
  CHECK(found(512, 10).chunks == 3);
  CHECK(found(515, 10).kind == Entry::Kind::object);
  CHECK(found(516, 10).kind == Entry::Kind::zero);
  CHECK(found(768, 10000).chunks == 512);
  CHECK(found(1280, 1 << 24).kind == Entry::Kind::absent);
  REQUIRE(*map.find(515, 1, Wait::no));
  CHECK_FALSE(*map.read(found(515, 1), Wait::no));
  CHECK(**map.read(found(515, 1), Wait::yes) == Bytes(chunk_bytes, std::byte{5}));
  CHECK(*map.read(found(515, 1), Wait::no));
}
