/// The name of a volume's instant: what a saved memory is bound to.
#include <doctest/doctest.h>

#include "store/volume.h"
#include "support/temporary_directory.h"
#include "unit/store/place.h"

using namespace sprite;
using namespace sprite::store;
using store::test::Place;

namespace {

std::optional<std::string> instant_of(Volume& volume) {
  const auto instant = volume.instant();
  REQUIRE_MESSAGE(instant, (instant ? "" : to_text(instant.error())));
  return *instant;
}

}  // namespace

TEST_CASE("an instant keeps its name until something is written, and over reopening") {
  const Place place;
  auto volume = place.open();
  CHECK(instant_of(*volume) == "image");
  REQUIRE(volume->write(0, Place::filled(4096, 'a')));
  CHECK_FALSE(instant_of(*volume));
  const auto first = volume->mark_instant();
  REQUIRE(first);
  CHECK(instant_of(*volume) == *first);
  CHECK(*volume->mark_instant() == *first);  // and cuts nothing
  REQUIRE(volume->flush());
  REQUIRE(volume->close());
  volume.reset();
  volume = place.open();
  CHECK(instant_of(*volume) == *first);
  SUBCASE("a write, even of what is there") { REQUIRE(volume->write(0, Place::filled(4096, 'a'))); }
  SUBCASE("a trim of what holds something") { REQUIRE(volume->trim(0, 4096)); }
  SUBCASE("a write that a kill interrupts") {
    REQUIRE(volume->write(8192, Place::filled(4096, 'b')));
    volume.reset();
    volume = place.open();
  }
  CHECK_FALSE(instant_of(*volume));
  CHECK(*volume->mark_instant() != *first);
}

TEST_CASE("checkpoints leave the instant's name, going back gives that of then") {
  const Place place;
  auto volume = place.open();
  REQUIRE(volume->write(0, Place::filled(4096, 'a')));
  const std::string first = *volume->mark_instant();
  const auto checkpoint = volume->checkpoint("empty");
  REQUIRE(checkpoint);
  CHECK(instant_of(*volume) == first);
  REQUIRE(volume->write(0, Place::filled(4096, 'b')));
  const std::string second = *volume->mark_instant();
  CHECK(second != first);
  REQUIRE(volume->restore(checkpoint->number));
  CHECK(instant_of(*volume) == first);
}

TEST_CASE("no two checkpoints have the same instant, and each keeps its own") {
  const Place place;
  auto volume = place.open();
  REQUIRE(volume->write(0, Place::filled(4096, 'a')));
  const auto first = volume->checkpoint("first"), nothing_written_since = volume->checkpoint("second");
  REQUIRE(first);
  REQUIRE(nothing_written_since);
  CHECK(first->instant.size() == 32);
  CHECK(first->instant != nothing_written_since->instant);
  const Path twin = place.folder / "twin";
  REQUIRE(make_directories(twin));
  REQUIRE(volume->fork(twin));
  REQUIRE(make_directories(place.folder / "twin-runtime"));
  {
    const auto other = Volume::open(twin, place.folder / "twin-runtime", place.packs);
    REQUIRE(other);
    const auto first_of_twin = (*other)->checkpoint("first");
    REQUIRE(first_of_twin);
    CHECK(name_of(*first_of_twin) == name_of(*first));
    CHECK(first_of_twin->instant != first->instant);
  }
  for (int i = 0; i < 4; ++i) {
    REQUIRE(volume->write(0, Place::filled(4096, 'b')));
    REQUIRE(volume->cut());
  }
  while (*volume->seal()) continue;
  while (*volume->fold(2)) continue;
  while (*volume->drop_local()) continue;
  REQUIRE(volume->restore(first->number));
  REQUIRE(volume->close());
  volume.reset();
  volume = place.open();
  const auto all = volume->checkpoints();
  REQUIRE(all);
  REQUIRE(all->size() == 3);
  CHECK(all->at(0).instant == first->instant);
  CHECK(all->at(1).instant == nothing_written_since->instant);
}
