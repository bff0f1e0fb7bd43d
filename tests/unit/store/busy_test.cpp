#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>

#include "store/volume.h"
#include "unit/store/place.h"

using namespace sprite;
using namespace sprite::store;
using store::test::Place;

namespace {

/// Writes, trims, flushes and reads back a region of its own until told to stop; counts what reads wrong.
class Guest {
 public:
  Guest(Volume& volume, unsigned number) : volume_(volume), base_(number * region), random_(number), model_(region) {}
  void run(const std::atomic<bool>& stop) {
    (void)volume_.write(base_, model_);
    while (!stop) step();
    check(0, region);
  }
  std::uint64_t wrong = 0, steps = 0;

  static constexpr std::uint64_t region = 4 * MiB;

 private:
  void step() {
    ++steps;
    const std::uint64_t offset = random_() % (region / 512) * 512;
    const std::uint64_t length = std::min<std::uint64_t>((random_() % 64 + 1) * 512, region - offset);
    const auto at = model_.begin() + static_cast<std::ptrdiff_t>(offset);
    switch (random_() % 8) {
      case 0: wrong += !volume_.flush(); break;
      case 1: {
        wrong += !volume_.trim(base_ + offset, length);
        std::fill_n(at, length, std::byte{0});
        break;
      }
      case 2:
      case 3: check(offset, length); break;
      default: {
        const Bytes data(length, static_cast<std::byte>(random_()));
        wrong += !volume_.write(base_ + offset, data);
        std::ranges::copy(data, at);
      }
    }
  }
  void check(std::uint64_t offset, std::uint64_t length) {
    Bytes bytes(length);
    if (!volume_.read_now(base_ + offset, bytes)) wrong += !volume_.read(base_ + offset, bytes);
    wrong += !std::ranges::equal(bytes, MutableByteView(model_).subspan(offset, length));
  }

  Volume& volume_;
  const std::uint64_t base_;
  std::mt19937 random_;
  Bytes model_;
};

}  // namespace

TEST_CASE("guests read what they wrote while layers are cut, sealed, folded, dropped and forked under them") {
  const Place place;
  auto volume = place.open();
  std::vector<Guest> guests;
  for (unsigned number = 0; number < 4; ++number) guests.emplace_back(*volume, number);
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (Guest& guest : guests) threads.emplace_back([&] { guest.run(stop); });
  std::thread background([&] {
    while (!stop) {
      REQUIRE(volume->seal());
      REQUIRE(volume->fold(4));
    }
  });
  for (int i = 0; i < 25; ++i) {
    REQUIRE(volume->cut());
    if (i % 5 == 0) REQUIRE(volume->checkpoint(""));
    if (i % 7 == 3) REQUIRE(volume->drop_local());
    if (i == 12) REQUIRE(volume->remove_checkpoint(1));
    if (i == 15) REQUIRE(volume->fork(place.folder / "fork"));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  stop = true;
  background.join();
  for (std::thread& thread : threads) thread.join();
  for (const Guest& guest : guests) {
    CHECK(guest.wrong == 0);
    CHECK(guest.steps > 10);
  }
}

TEST_CASE("upkeep keeps the chain short and everything sealed, by itself") {
  const Place place;
  auto volume = place.open();
  volume->start_upkeep({.layers_max = 4, .cut_bytes = MiB, .local_bytes_max = 0});
  Bytes block(64 * KiB);
  for (int i = 0; i < 30; ++i) {
    std::ranges::fill(block, static_cast<std::byte>(i + 1));
    REQUIRE(volume->write(static_cast<std::uint64_t>(i) * 64 * KiB, block));
    REQUIRE(volume->cut());
  }
  const auto settled = [&] {
    const auto usage = volume->usage();
    return usage && usage->layers == 1;
  };
  for (int i = 0; i < 500 && !settled(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(settled());
  CHECK_FALSE(volume->upkeep_failure());
  for (int i = 0; i < 30; ++i) {
    Bytes bytes(64 * KiB);
    REQUIRE(volume->read(static_cast<std::uint64_t>(i) * 64 * KiB, bytes));
    CHECK(bytes[100] == static_cast<std::byte>(i + 1));
  }
  REQUIRE(volume->close());
}
