#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "store/volume.h"
#include "support/temporary_directory.h"
#include "unit/store/place.h"

using namespace sprite;
using namespace sprite::store;
using store::test::Place;

namespace {

Bytes whole(Volume& volume) {
  Bytes bytes(volume.size_bytes());
  REQUIRE(volume.read(0, bytes));
  return bytes;
}

void scribble(Volume& volume, Bytes& model, std::mt19937& random, int count = 20) {
  for (int i = 0; i < count; ++i) {
    const std::uint64_t offset = random() % (model.size() - 200000) / 512 * 512;
    const std::uint64_t length = (random() % 300 + 1) * 512;
    const auto at = model.begin() + static_cast<std::ptrdiff_t>(offset);
    if (random() % 4 == 0) {
      REQUIRE(volume.trim(offset, length));
      std::fill_n(at, length, std::byte{0});
      continue;
    }
    Bytes data(length, static_cast<std::byte>(random()));
    for (std::size_t j = 0; j < length; j += 97) data[j] = static_cast<std::byte>(random());
    REQUIRE(volume.write(offset, data));
    std::ranges::copy(data, at);
  }
}

/// Everything that goes on behind a volume, until nothing is left to do.
void settle(Volume& volume, std::size_t layers_max = 2) {
  for (;;) {
    const auto sealed = volume.seal();
    REQUIRE(sealed);
    const auto folded = volume.fold(layers_max);
    REQUIRE(folded);
    if (!*sealed && !*folded) return;
  }
}

}  // namespace

TEST_CASE("checkpoints keep their instant, through restore, sealing, folding, dropping and reopening") {
  const Place place;
  std::mt19937 random(3);
  Bytes model = place.model();
  std::vector<Bytes> kept;
  {
    auto volume = place.open();
    for (int i = 0; i < 6; ++i) {
      scribble(*volume, model, random);
      const auto made = volume->checkpoint("number " + std::to_string(i));
      REQUIRE(made);
      CHECK(made->number == i);
      kept.push_back(model);
      if (i % 2 == 1) REQUIRE(volume->seal());
      if (i == 4) settle(*volume);
    }
    scribble(*volume, model, random);
    CHECK(whole(*volume) == model);
  }
  for (const std::size_t number : {3U, 0U, 5U, 1U, 2U, 4U}) {
    auto volume = place.open();
    REQUIRE(whole(*volume) == model);
    const auto before = volume->restore(static_cast<std::int64_t>(number));
    REQUIRE(before);
    CHECK(before->automatic == Automatic::yes);
    CHECK(static_cast<std::size_t>(before->number) == kept.size());
    kept.push_back(model);
    model = kept[number];
    REQUIRE(whole(*volume) == model);
    scribble(*volume, model, random);
    if (number == 0 || number == 1) settle(*volume);
    if (number == 1)
      while (*volume->drop_local()) REQUIRE(whole(*volume) == model);
  }
  auto volume = place.open();
  CHECK(volume->checkpoints()->size() == kept.size());
  for (std::size_t number = 0; number < kept.size(); ++number) {
    REQUIRE(volume->restore(static_cast<std::int64_t>(number)));
    REQUIRE(whole(*volume) == kept[number]);
  }
}

TEST_CASE("a fork goes its own way, from now or from a checkpoint, whatever happens to its source") {
  const Place place;
  std::mt19937 random(4);
  Bytes model = place.model();
  auto volume = place.open();
  scribble(*volume, model, random);
  REQUIRE(volume->checkpoint("early"));
  const Bytes early = model;
  scribble(*volume, model, random);
  for (const bool sealed : {false, true}) {
    if (sealed) settle(*volume);
    const std::string suffix = sealed ? "-sealed" : "";
    REQUIRE(make_directories(place.folder / ("now" + suffix)));
    REQUIRE(make_directories(place.folder / ("early" + suffix)));
    REQUIRE(volume->fork(place.folder / ("now" + suffix)));
    REQUIRE(volume->fork(place.folder / ("early" + suffix), 0));
    CHECK(volume->fork(place.folder / ("early" + suffix), 0).error().kind == Error::Kind::exists);
    CHECK(volume->fork(place.folder / "none", 99).error().kind == Error::Kind::not_found);
  }
  const Bytes now = model;
  scribble(*volume, model, random);
  REQUIRE(volume->remove_checkpoint(0));
  settle(*volume);
  REQUIRE(whole(*volume) == model);
  for (const std::string name : {"now", "early", "now-sealed", "early-sealed"}) {
    CAPTURE(name);
    REQUIRE(make_directories(place.folder / ("runtime-" + name)));
    auto fork = Volume::open(place.folder / name, place.folder / ("runtime-" + name), place.packs);
    REQUIRE(fork);
    Bytes expected = name.starts_with("now") ? now : early;
    REQUIRE(whole(**fork) == expected);
    scribble(**fork, expected, random);
    settle(**fork);
    REQUIRE(whole(**fork) == expected);
  }
  CHECK(whole(*volume) == model);
}

TEST_CASE("a fork of what was not written to since the last cut ends no layer") {
  const Place place;
  std::mt19937 random(6);
  Bytes model = place.model();
  auto volume = place.open();
  scribble(*volume, model, random);
  std::vector<std::size_t> layers;
  for (const std::string name : {"first", "second"}) {
    REQUIRE(make_directories(place.folder / name));
    REQUIRE(make_directories(place.folder / ("runtime-" + name)));
    REQUIRE(volume->fork(place.folder / name));
    layers.push_back(volume->usage()->layers);
    auto fork = Volume::open(place.folder / name, place.folder / ("runtime-" + name), place.packs);
    REQUIRE(fork);
    CHECK(whole(**fork) == model);
  }
  CHECK(layers[0] == layers[1]);
}

TEST_CASE("a new volume's database has the rows of others") {
  const Place place;
  auto volume = place.open();
  REQUIRE(make_directories(place.folder / "fork"));
  auto others = [](meta::Database& database) {
    return database.run("insert into record(name, value) values('it', 'is here')");
  };
  REQUIRE(volume->fork(place.folder / "fork", {}, others));
  auto database = open_volume_database(place.folder / "fork");
  REQUIRE(database);
  auto query = database->query("select value from record where name = 'it'");
  REQUIRE(query);
  REQUIRE(query->next());
  CHECK(query->text(0) == "is here");
}

TEST_CASE("what is equal is not sealed again") {
  const Place place;
  auto volume = place.open();
  std::mt19937 random(5);
  Bytes data(MiB);
  for (auto& each : data) each = static_cast<std::byte>(random());
  const auto packed_bytes = [&] {
    std::uint64_t sum = 0;
    REQUIRE(place.packs->for_each([&](const PackName&, std::uint64_t bytes, std::chrono::seconds) {
      sum += bytes;
      return Result<>();
    }));
    return sum;
  };
  REQUIRE(volume->write(8 * MiB, data));
  REQUIRE(volume->cut());
  REQUIRE(*volume->seal());
  const auto first = packed_bytes();
  CHECK(first >= MiB);
  CHECK(first < MiB + 64 * KiB);
  REQUIRE(volume->write(8 * MiB, data));
  REQUIRE(volume->cut());
  REQUIRE(*volume->seal());
  CHECK(packed_bytes() < first + 16 * KiB);
  CHECK(whole(*volume).size() == place.size_bytes);
}

TEST_CASE("removing a checkpoint gives its space back, and no file is left over") {
  const Place place;
  auto volume = place.open();
  std::mt19937 random(6);
  Bytes model = place.model();
  const auto files = [&] {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(place.directory() / "layers"), {}));
  };
  for (int i = 0; i < 4; ++i) {
    scribble(*volume, model, random);
    REQUIRE(volume->checkpoint(""));
  }
  REQUIRE(volume->restore(1));
  CHECK(files() == 1 + 2 * 6);  // image; top, v0 to v3 and the one before the restore
  for (const std::int64_t number : {4, 3, 2}) REQUIRE(volume->remove_checkpoint(number));
  CHECK(volume->remove_checkpoint(3).error().kind == Error::Kind::not_found);
  const auto usage = volume->usage();
  REQUIRE(usage);
  CHECK(usage->checkpoints == 2);
  CHECK(usage->layers == 3);
  CHECK(files() == 1 + 2 * 3);
}

TEST_CASE("a checkpoint's name is not used again, and files that a crash left are removed") {
  const Place place;
  const Path image = place.directory() / "layers/99.img", states = place.directory() / "layers/99.bits",
             twin = place.runtime() / "99.bits";
  {
    auto volume = place.open();
    REQUIRE(volume->checkpoint("first"));
    REQUIRE(volume->checkpoint("second"));
    const auto third = volume->checkpoint("third");
    REQUIRE(third);
    REQUIRE(volume->remove_checkpoint(1));
    const auto fourth = volume->checkpoint("fourth");
    REQUIRE(fourth);
    CHECK(name_of(*fourth) == "v3");
    CHECK(name_of(*fourth) != name_of(*third));
    REQUIRE(volume->close());
  }
  for (const Path& path : {image, states, twin}) REQUIRE(open_file(path, O_WRONLY | O_CREAT));
  const auto volume = place.open();
  for (const Path& path : {image, states, twin}) CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a chain of many cuts folds back, sealed or not") {
  const Place place;
  auto volume = place.open();
  std::mt19937 random(7);
  Bytes model = place.model();
  for (int i = 0; i < 40; ++i) {
    scribble(*volume, model, random, 3);
    REQUIRE(volume->cut());
  }
  CHECK(volume->usage()->layers == 41);
  while (*volume->fold(8)) {
  }
  CHECK(volume->usage()->layers == 8);
  CHECK(whole(*volume) == model);
  settle(*volume);
  CHECK(volume->usage()->layers == 2);
  CHECK(volume->usage()->unsealed_bytes < MiB);
  CHECK(whole(*volume) == model);
}
