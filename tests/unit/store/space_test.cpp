// What is deleted gives its space back, by itself.
#include <doctest/doctest.h>

#include <random>
#include <thread>

#include "base/failpoint.h"
#include "store/checkpoint_disk.h"
#include "store/pack_upkeep.h"
#include "unit/store/place.h"

using namespace sprite;
using namespace sprite::store;
using store::test::Place;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t at = 8 * MiB, length = 4 * MiB;

Bytes noise(unsigned seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(length);
  for (std::size_t i = 0; i < bytes.size(); i += 8)
    store_little(bytes.data() + i, static_cast<std::uint64_t>(random()));
  return bytes;
}

void seal_all(Volume& volume) {
  REQUIRE(volume.cut());
  for (bool more = true; more;) {
    const auto sealed = volume.seal();
    REQUIRE(sealed);
    more = *sealed;
  }
}

std::uint64_t local_bytes(Volume& volume) { return volume.usage()->local_bytes; }

std::uint64_t packed_bytes(const Place& place) {
  std::uint64_t total = 0;
  REQUIRE(place.packs->for_each([&](const PackName&, std::uint64_t bytes, std::chrono::seconds) {
    total += bytes;
    return Result<>();
  }));
  return total;
}

Volumes volumes_of(const Place& place) {
  return [&place] { return Result<std::vector<Path>>(std::vector{place.directory()}); };
}

Bytes read(nbd::Device& device, std::uint64_t offset, std::uint64_t count = length) {
  Bytes bytes(count);
  REQUIRE(device.read(offset, bytes));
  return bytes;
}

}  // namespace

TEST_CASE("what newer layers hide gives its storage back, and a checkpoint of it reads on") {
  const Place place;
  const auto volume = place.open();
  REQUIRE(volume->write(at, noise(1)));
  const auto checkpoint = volume->checkpoint("full");
  REQUIRE(checkpoint);
  seal_all(*volume);
  nbd::Device& checkpoints = volume->checkpoint_disk();
  const std::uint64_t shown_at = checkpoint_offset(checkpoint->number) + at;
  CHECK(read(checkpoints, shown_at) == noise(1));
  const std::uint64_t full = local_bytes(*volume);

  REQUIRE(volume->trim(at, length / 2));
  REQUIRE(volume->write(at + length / 2, Bytes(MiB, std::byte{7})));
  CHECK(*volume->give_back_hidden(0) == 0);  // the top may still be lost: only what was cut hides
  seal_all(*volume);
  CHECK(*volume->give_back_hidden(length) == 0);  // that is not much
  CHECK(local_bytes(*volume) >= full);
  CHECK(*volume->give_back_hidden(MiB) == length / 2 + MiB);
  CHECK(local_bytes(*volume) <= full - length / 2 + 64 * KiB);  // a MiB and some states came, three went
  CHECK(*volume->give_back_hidden(0) == 0);

  CHECK(read(*volume, at, length / 2) == Bytes(length / 2));
  const Bytes written = noise(1);
  CHECK(read(*volume, at + length - MiB, MiB) == Bytes(written.end() - MiB, written.end()));
  CHECK(read(checkpoints, shown_at) == noise(1));
  REQUIRE(volume->restore(checkpoint->number));
  CHECK(read(*volume, at) == noise(1));
}

TEST_CASE("what an older layer than the hidden one has is not read in its place") {
  const Place place;
  const auto volume = place.open();
  REQUIRE(volume->write(at, noise(1)));
  const auto first = volume->checkpoint("one");
  REQUIRE(first);
  seal_all(*volume);
  const Path fork = place.folder / "fork";
  REQUIRE(make_directories(fork));
  REQUIRE(volume->fork(fork, first->number));  // from now on the layer's files are the fork's, too
  REQUIRE(volume->write(at, noise(2)));
  const auto second = volume->checkpoint("two");
  REQUIRE(second);
  seal_all(*volume);
  REQUIRE(volume->trim(at, length));
  seal_all(*volume);
  CHECK(*volume->give_back_hidden(0) == 0);
  CHECK(read(volume->checkpoint_disk(), checkpoint_offset(second->number) + at) == noise(2));
}

namespace {

/// Copies a volume as it is on the disk at the first failpoint of a kind.
struct Copying {
  Failpoint at{};
  Path from, to;
};
Copying copying;

void copy_at_failpoint(Failpoint point) {
  if (point == copying.at && !std::filesystem::exists(copying.to))
    std::filesystem::copy(copying.from, copying.to, std::filesystem::copy_options::recursive);
}

}  // namespace

TEST_CASE("a crash while layers forget lets no older layer's bytes through") {
  const Place place;
  const auto volume = place.open();
  REQUIRE(volume->write(at, noise(1)));
  REQUIRE(volume->cut());
  REQUIRE(volume->write(at, noise(2)));
  const auto checkpoint = volume->checkpoint("two");
  REQUIRE(checkpoint);
  REQUIRE(volume->trim(at, length));
  seal_all(*volume);

  const Path crashed = place.folder / "crashed", runtime = place.folder / "runtime of crashed";
  REQUIRE(make_directories(runtime));
  copying = {Failpoint::hidden_forgotten, place.directory(), crashed};
  on_failpoint(copy_at_failpoint);
  const auto given_back = volume->give_back_hidden(0);
  on_failpoint(nullptr);
  REQUIRE(given_back);
  CHECK(*given_back == 2 * length);  // both layers forgot

  const auto after = Volume::open(crashed, runtime, place.packs);
  REQUIRE(after);
  const std::uint64_t shown_at = checkpoint_offset(checkpoint->number) + at;
  CHECK(read((*after)->checkpoint_disk(), shown_at) == noise(2));
  CHECK(read(volume->checkpoint_disk(), shown_at) == noise(2));
}

TEST_CASE("packs that only a layer nobody reads through names are collected") {
  const Place place;
  const auto volume = place.open();
  REQUIRE(volume->write(at, noise(1)));
  seal_all(*volume);
  REQUIRE(volume->trim(at, length));
  seal_all(*volume);
  CHECK(packed_bytes(place) > length);
  REQUIRE(collect_packs(*place.packs, volumes_of(place)));
  CHECK(packed_bytes(place) < MiB);
  CHECK(read(*volume, at) == Bytes(length));
  REQUIRE(volume->write(at, noise(3)));
  seal_all(*volume);
  CHECK(read(*volume, at) == noise(3));
}

TEST_CASE("what the writer of a pack left who was killed is collected") {
  const Place place;
  const auto volume = place.open();
  REQUIRE(volume->write(at, noise(1)));
  seal_all(*volume);
  std::vector<Path> folders;
  for (const auto& each : std::filesystem::directory_iterator(place.folder / "packs")) folders.push_back(each.path());
  REQUIRE(!folders.empty());
  const Path unfinished = folders.front() / (std::string(64, 'a') + ".some-writer.tmp");
  const Path not_ours = folders.front() / "note.tmp";
  for (const Path& each : {unfinished, not_ours}) REQUIRE(open_file(each, O_WRONLY | O_CREAT));
  REQUIRE(collect_packs(*place.packs, volumes_of(place), {.age_min = 1h}));
  CHECK(std::filesystem::exists(unfinished));  // somebody may still be at it
  REQUIRE(collect_packs(*place.packs, volumes_of(place)));
  CHECK_FALSE(std::filesystem::exists(unfinished));
  CHECK(std::filesystem::exists(not_ours));
  CHECK(read(*volume, at) == noise(1));
}

TEST_CASE("what a library throws in a collection is reported, and the thread goes on") {
  const Place place;
  std::atomic<int> failures = 0, calls = 0;
  {
    const PackUpkeep upkeep(
        *place.packs,
        [&]() -> Result<std::vector<Path>> {
          if (calls++ == 0) throw std::runtime_error("no memory");
          return std::vector{place.directory()};
        },
        [&](const Result<Collected>& collected) { failures += !collected; },
        {.spent_bytes_max = MiB, .look_every = 5ms, .failed_looks = 1});
    for (int i = 0; i < 500 && calls < 2; ++i) std::this_thread::sleep_for(10ms);
  }
  CHECK(calls == 2);
  CHECK(failures == 1);
}

TEST_CASE("packs are collected by themselves when much of them is spent, and nobody is busy") {
  const Place place;
  const auto volume = place.open();
  REQUIRE(volume->write(at, noise(1)));
  seal_all(*volume);
  std::atomic<int> runs = 0, failures = 0;
  const PackUpkeep upkeep(*place.packs, volumes_of(place),
                          [&](const Result<Collected>& collected) {
                            failures += !collected;
                            ++runs;
                          },
                          {.spent_bytes_max = MiB, .look_every = 20ms});
  const auto until = [](auto condition) {
    for (int i = 0; i < 500 && !condition(); ++i) std::this_thread::sleep_for(10ms);
    return condition();
  };
  CHECK(until([&] { return runs == 1; }));  // what was there before
  CHECK(packed_bytes(place) > length);
  REQUIRE(volume->trim(at, 64 * KiB));
  seal_all(*volume);
  std::this_thread::sleep_for(100ms);
  CHECK(runs == 1);  // a chunk is not much
  REQUIRE(volume->trim(at, length));
  seal_all(*volume);
  CHECK(until([&] { return packed_bytes(place) < MiB; }));
  CHECK(failures == 0);
  CHECK(until([&] { return runs >= 2; }));
  const int settled = runs;
  std::this_thread::sleep_for(100ms);
  CHECK(runs <= settled + 1);  // and then it rests
}
