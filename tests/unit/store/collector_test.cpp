#include "store/collector.h"

#include <doctest/doctest.h>

#include <random>

#include "unit/store/place.h"

using namespace sprite;
using namespace sprite::store;
using store::test::Place;

namespace {

constexpr std::uint64_t chunks = 256, kept_every = 16;

Bytes noise(unsigned seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(chunk_bytes);
  for (std::size_t at = 0; at < bytes.size(); at += 8)
    store_little(bytes.data() + at, static_cast<std::uint64_t>(random()));
  return bytes;
}

/// Writes chunks that differ for each seed; those that stay as they are, every 16th, only the first time.
void write_chunks(Volume& volume, unsigned seed, bool first) {
  for (std::uint64_t i = 0; i < chunks; ++i)
    if (first || i % kept_every != 0) REQUIRE(volume.write(i * chunk_bytes, noise(seed + static_cast<unsigned>(i))));
}

/// Everything goes into packs, and is read from there.
void settle(Volume& volume) {
  REQUIRE(volume.cut());
  for (bool more = true; more;) {
    const auto sealed = volume.seal();
    REQUIRE(sealed);
    more = *sealed;
  }
  for (bool more = true; more;) {
    const auto dropped = volume.drop_local();
    REQUIRE(dropped);
    more = *dropped;
  }
}

void check_chunks(Volume& volume, unsigned first_seed, unsigned seed) {
  for (std::uint64_t i = 0; i < chunks; ++i) {
    Bytes bytes(chunk_bytes);
    const auto read = volume.read(i * chunk_bytes, bytes);
    REQUIRE(read);
    REQUIRE(bytes == noise((i % kept_every == 0 ? first_seed : seed) + static_cast<unsigned>(i)));
  }
}

/// Packs of which the second time left a sixteenth in use.
std::shared_ptr<Volume> written_twice(const Place& place) {
  auto volume = place.open();
  write_chunks(*volume, 1000, true);
  settle(*volume);
  write_chunks(*volume, 2000, false);
  settle(*volume);
  return volume;
}

Result<Collected> collect(const Place& place, const std::vector<Path>& volumes, DryRun dry_run = DryRun::no) {
  return collect_packs(*place.packs, [&] { return Result<std::vector<Path>>(volumes); }, {.dry_run = dry_run});
}

std::uint64_t bytes_in_packs(const Place& place) {
  std::uint64_t total = 0;
  REQUIRE(place.packs->for_each([&](const PackName&, std::uint64_t bytes, std::chrono::seconds) {
    total += bytes;
    return Result<>();
  }));
  return total;
}

}  // namespace

TEST_CASE("what is needed of a pack with little in it moves, and an open disk reads on") {
  const Place place;
  auto volume = written_twice(place);
  const std::uint64_t before = bytes_in_packs(place);
  const auto looked = collect(place, {place.directory()}, DryRun::yes);
  REQUIRE(looked);
  CHECK(looked->packs_rewritten == 0);
  CHECK(bytes_in_packs(place) == before);
  const auto collected = collect(place, {place.directory()});
  REQUIRE(collected);
  CHECK(collected->packs_rewritten >= 1);
  CHECK(collected->packs_removed >= collected->packs_rewritten);
  // Half of it was overwritten: nearly all of that half is given back.
  CHECK(bytes_in_packs(place) < before * 57 / 100);
  CHECK(collected->bytes_needed == bytes_in_packs(place));
  check_chunks(*volume, 1000, 2000);
  // Sealing goes on over what was moved, and a second run finds nothing to do.
  const auto again = collect(place, {place.directory()});
  REQUIRE(again);
  CHECK(again->packs_rewritten == 0);
  write_chunks(*volume, 3000, false);
  settle(*volume);
  check_chunks(*volume, 1000, 3000);
  volume.reset();
  check_chunks(*place.open(), 1000, 3000);
}

TEST_CASE("forks and checkpoints share what was moved as they did before") {
  const Place place;
  auto volume = place.open();
  write_chunks(*volume, 1000, true);
  settle(*volume);
  const Path fork = place.folder / "fork";
  REQUIRE(make_directories(fork));
  REQUIRE(volume->fork(fork));
  const auto all = collect(place, {place.directory(), fork});
  REQUIRE(all);
  CHECK(all->packs_rewritten == 0);
  write_chunks(*volume, 2000, false);
  settle(*volume);
  REQUIRE(volume->checkpoint("two"));
  write_chunks(*volume, 4000, false);
  settle(*volume);
  {
    REQUIRE(make_directories(place.folder / "fork-runtime"));
    const auto open = Volume::open(fork, place.folder / "fork-runtime", place.packs);
    REQUIRE(open);
    write_chunks(**open, 3000, false);
    settle(**open);
    REQUIRE((*open)->close());
  }
  const std::uint64_t before = bytes_in_packs(place);
  const auto collected = collect(place, {place.directory(), fork});
  REQUIRE(collected);
  CHECK(collected->packs_rewritten >= 1);
  CHECK(bytes_in_packs(place) < before * 82 / 100);  // the first of four, but for its sixteenth, which is there once
  check_chunks(*volume, 1000, 4000);
  REQUIRE(volume->restore(0));
  check_chunks(*volume, 1000, 2000);
  const auto open = Volume::open(fork, place.folder / "fork-runtime", place.packs);
  REQUIRE(open);
  check_chunks(**open, 1000, 3000);
}

TEST_CASE("while an open disk cannot follow, nothing is removed") {
  const Place place;
  auto volume = written_twice(place);
  const std::uint64_t before = bytes_in_packs(place);
  int calls = 0;
  {
    const PackStore::Follower stuck(*place.packs, [&]() -> Result<> {
      if (++calls == 2) return Error{Error::Kind::unavailable, "this disk cannot follow", "", {}};
      return {};
    });
    const auto collected = collect(place, {place.directory()});
    REQUIRE_FALSE(collected);
    CHECK(calls == 2);
  }
  CHECK(bytes_in_packs(place) > before);  // the new pack is there, and the old one still is
  check_chunks(*volume, 1000, 2000);
  REQUIRE(collect(place, {place.directory()}));
  CHECK(bytes_in_packs(place) < before * 57 / 100);
  check_chunks(*volume, 1000, 2000);
}
