#include "store/checkpoint_disk.h"

#include <random>

#include "unit/store/place.h"

using namespace sprite;
using namespace sprite::store;
using store::test::Place;

namespace {

/// The whole disk as the checkpoint holds it, read in pieces that fit nothing.
Bytes whole(Volume& volume, std::int64_t number) {
  Bytes bytes(volume.size_bytes());
  constexpr std::size_t piece = 300'000;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    const MutableByteView part = MutableByteView(bytes).subspan(at).first(std::min(piece, bytes.size() - at));
    REQUIRE(volume.checkpoint_disk().read(checkpoint_offset(number) + at, part));
  }
  return bytes;
}

void fill(Volume& volume, Bytes& model, std::uint64_t offset, std::size_t count, char value) {
  const Bytes data = Place::filled(count, value);
  REQUIRE(volume.write(offset, data));
  std::ranges::copy(data, model.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace

TEST_CASE(
    "checkpoints are read at their places while the disk goes on, is restored, sealed, folded, dropped and opened "
    "anew") {
  const Place place;
  Bytes model = place.model();
  std::vector<Bytes> kept;
  {
    const auto volume = place.open();
    for (int i = 0; i < 5; ++i) {
      fill(*volume, model, static_cast<std::uint64_t>(i) * MiB + 1000, 100'000, static_cast<char>('a' + i));
      REQUIRE(volume->checkpoint(""));
      kept.push_back(model);
    }
    for (int i = 0; i < 5; ++i) CHECK(whole(*volume, i) == kept[static_cast<std::size_t>(i)]);
    Bytes now(4096);
    CHECK(volume->checkpoint_disk().read_now(checkpoint_offset(3), now));  // open by now
    REQUIRE(volume->restore(1));
    model = kept[1];
    kept.push_back(kept[4]);  // the safety checkpoint
    fill(*volume, model, 3 * MiB, 5000, 'z');
    for (;;) {
      const auto sealed = volume->seal(), folded = volume->fold(2);
      REQUIRE(sealed);
      REQUIRE(folded);
      for (int i = 0; i < 6; ++i) REQUIRE(whole(*volume, i) == kept[static_cast<std::size_t>(i)]);
      if (!*sealed && !*folded) break;
    }
    while (*volume->drop_local()) {
      for (int i = 0; i < 6; ++i) REQUIRE(whole(*volume, i) == kept[static_cast<std::size_t>(i)]);
    }
  }
  const auto volume = place.open();
  for (int i = 0; i < 6; ++i) CHECK(whole(*volume, i) == kept[static_cast<std::size_t>(i)]);
}

TEST_CASE("what is removed cannot be read, and keeps no file open") {
  const Place place;
  const auto volume = place.open();
  Bytes model = place.model();
  REQUIRE(volume->checkpoint("base"));
  fill(*volume, model, 0, 8 * MiB, 'x');
  REQUIRE(volume->checkpoint("large"));
  REQUIRE(volume->restore(0));
  for (const std::int64_t number : {1, 2}) CHECK(whole(*volume, number) == model);
  for (const std::int64_t number : {1, 2}) REQUIRE(volume->remove_checkpoint(number));
  Bytes block(4096);
  for (const std::int64_t number : {1, 2, 7}) {
    const auto read = volume->checkpoint_disk().read(checkpoint_offset(number), block);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == Error::Kind::not_found);
    CHECK_FALSE(volume->checkpoint_disk().read_now(checkpoint_offset(number), block));
  }
  int gone = 0;
  std::error_code failed;
  for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd", failed)) {
    const std::string target = std::filesystem::read_symlink(fd.path(), failed).string();
    if (target.starts_with(place.directory().string()) && target.ends_with(" (deleted)")) ++gone;
  }
  CHECK(gone == 0);
}

TEST_CASE("around the checkpoints there are zeros, and nothing can be written") {
  const Place place;
  const auto volume = place.open();
  REQUIRE(volume->checkpoint(""));
  nbd::Device& disk = volume->checkpoint_disk();
  CHECK(disk.read_only());
  for (const std::uint64_t offset :
       {std::uint64_t{0}, checkpoint_offset(0) + volume->size_bytes(), checkpoint_offset(0) - 4096}) {
    Bytes block = Place::filled(4096, 'x');
    REQUIRE(disk.read(offset, block));
    CHECK(block == Bytes(4096));
  }
  const Bytes data = Place::filled(4096, 'x');
  CHECK_FALSE(disk.write(checkpoint_offset(0), data));
  CHECK_FALSE(disk.trim(checkpoint_offset(0), 4096));
  CHECK_FALSE(disk.write_zeroes(checkpoint_offset(0), 4096));
  CHECK(whole(*volume, 0) == place.model());
}
