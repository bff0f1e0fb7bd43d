#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cstring>
#include <random>

#include "base/directory.h"
#include "store/portable.h"
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

Bytes noise(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(count);
  for (auto& each : bytes) each = static_cast<std::byte>(random());
  return bytes;
}

/// Puts `text` into `path` as damage does: in place, without a care.
void overwrite(const Path& path, const std::string& text) {
  const auto file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
  REQUIRE(file);
  REQUIRE(write_all(file->get(), as_bytes(text)));
}

/// Every byte at the start and the end of a file, and some all over it.
std::vector<std::size_t> places_in(const std::string& file) {
  constexpr std::size_t ends = 64, between = 80;
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < file.size(); ++at)
    if (at < ends || at + ends >= file.size() || at % (file.size() / between) == 0) places.push_back(at);
  return places;
}

enum class Damage { flip, zeros, cut };
constexpr Damage damages[] = {Damage::flip, Damage::zeros, Damage::cut};

/// `good`, damaged at that place; the same if it consists of zeros there.
std::string damaged(const std::string& good, std::size_t at, Damage damage) {
  std::string bad = good;
  if (damage == Damage::cut) {
    bad.resize(at);
  } else if (damage == Damage::flip) {
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
  } else {
    std::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(at), std::min<std::size_t>(16, bad.size() - at), '\0');
  }
  return bad;
}

}  // namespace

TEST_CASE("a disk goes through one file and comes out the same") {
  const Place place;
  auto volume = place.open();
  REQUIRE(volume->write(8 * MiB - 700, noise(200000, 1)));
  REQUIRE(volume->write(place.size_bytes - 4096, noise(4096, 2)));
  REQUIRE(volume->trim(0, 8192));
  const Path part = unfinished_name(place.folder / "file");
  overwrite(part, std::string(500000, 'x'));  // as one that was killed leaves it
  REQUIRE(export_volume(*volume, R"({"name":"api"})", place.folder / "file"));
  CHECK_FALSE(std::filesystem::exists(part));
  CHECK(export_volume(*volume, "", place.folder / "file").error().kind == Error::Kind::exists);
  CHECK(export_volume(*volume, "", "/absent/folder/file").error().what.find("the folder '/absent/folder'") !=
        std::string::npos);
  {
    const auto other = FileLock::try_take(unfinished_name(place.folder / "more"));
    REQUIRE(other);
    CHECK(export_volume(*volume, "", place.folder / "more").error().kind == Error::Kind::busy);
  }
  CHECK_FALSE(std::filesystem::exists(place.folder / "more"));
  CHECK(std::filesystem::file_size(place.folder / "file") < 300000);
  REQUIRE(make_directories(place.folder / "imported"));
  const auto header = import_volume(place.folder / "file", place.folder / "imported");
  REQUIRE(header);
  CHECK(header->description == R"({"name":"api"})");
  REQUIRE(make_directories(place.folder / "other-runtime"));
  auto imported = Volume::open(place.folder / "imported", place.folder / "other-runtime");
  REQUIRE(imported);
  CHECK(whole(**imported) == whole(*volume));
}

TEST_CASE("what is imported is a file, and what it holds must fit before any of it is written") {
  const Place place;
  auto volume = place.open();
  REQUIRE(export_volume(*volume, "", place.folder / "file"));
  const auto refused = [&](const Path& path) {
    REQUIRE(remove_tree(place.folder / "imported"));
    REQUIRE(make_directories(place.folder / "imported"));
    auto imported = import_volume(path, place.folder / "imported");
    REQUIRE_FALSE(imported);
    CHECK(std::filesystem::is_empty(place.folder / "imported"));
    return imported.error().kind;
  };
  const Path pipe = place.folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(refused(pipe) == Error::Kind::invalid);
  CHECK(refused("/dev/zero") == Error::Kind::invalid);

  struct statvfs space {};
  REQUIRE(::statvfs(place.folder.path().c_str(), &space) == 0);
  const std::uint64_t chunks = std::uint64_t{space.f_bavail} * space.f_frsize / chunk_bytes + 100;
  std::string bomb = read_file(place.folder / "file")->substr(0, 32);
  for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) {
    char head[16] = {};
    std::memcpy(head, &chunk, sizeof chunk);
    bomb.append(head, sizeof head);
  }
  overwrite(place.folder / "bomb", bomb);
  CHECK(refused(place.folder / "bomb") == Error::Kind::no_space);
}

TEST_CASE("an exported disk that is damaged or cut short anywhere is refused by name") {
  const Place place;
  auto volume = place.open();
  REQUIRE(volume->write(8 * MiB, noise(70000, 1)));
  REQUIRE(export_volume(*volume, "description", place.folder / "file"));
  const std::string good = *read_file(place.folder / "file");
  for (const std::size_t at : places_in(good)) {
    for (const Damage damage : damages) {
      const std::string bad = damaged(good, at, damage);
      const bool means_nothing = damage == Damage::flip && at >= 28 && at < 32;
      if (bad == good || means_nothing) continue;
      overwrite(place.folder / "bad", bad);
      REQUIRE(remove_tree(place.folder / "imported"));
      REQUIRE(make_directories(place.folder / "imported"));
      const auto imported = import_volume(place.folder / "bad", place.folder / "imported");
      CAPTURE(at);
      CAPTURE(static_cast<int>(damage));
      REQUIRE_FALSE(imported);
      CHECK((imported.error().kind == Error::Kind::corrupt || imported.error().kind == Error::Kind::invalid));
      CHECK(to_text(imported.error()).find("/bad'") != std::string::npos);
      CHECK_FALSE(std::filesystem::exists(place.folder / "imported/volume.db"));
    }
  }
}

TEST_CASE("a damaged pack is an error where it is read, and what is whole is read") {
  const Place place;
  Bytes expected = place.model();
  {
    auto volume = place.open();
    for (unsigned i = 0; i < 3; ++i) {
      const Bytes data = noise(128 * KiB, i);
      REQUIRE(volume->write((8 + i) * MiB, data));
      std::ranges::copy(data, expected.begin() + static_cast<std::ptrdiff_t>((8 + i) * MiB));
    }
    REQUIRE(volume->cut());
    REQUIRE(*volume->seal());
    REQUIRE(*volume->drop_local());
  }
  std::vector<Path> packs;
  for (const auto& each : std::filesystem::recursive_directory_iterator(place.folder / "packs"))
    if (each.is_regular_file()) packs.push_back(each.path());
  REQUIRE(packs.size() == 1);
  const std::string good = *read_file(packs[0]);
  std::size_t unreadable = 0, damaged_objects = 0;
  Bytes part(MiB);
  const auto look = [&](std::size_t at, Damage damage) {
    const std::string bad = damaged(good, at, damage);
    if (bad == good) return;
    overwrite(packs[0], bad);
    const auto packs_again = std::make_shared<PackStore>(place.folder / "packs");
    auto volume = Volume::open(place.directory(), place.runtime(), packs_again);
    REQUIRE(volume);
    bool found = false;
    for (std::uint64_t offset = 0; offset < place.size_bytes; offset += MiB) {
      const auto read = (*volume)->read(offset, part);
      if (read) REQUIRE(std::memcmp(part.data(), expected.data() + offset, part.size()) == 0);
      if (!read) CHECK(read.error().kind == Error::Kind::corrupt);
      if (!read) CHECK(to_text(read.error()).find(packs[0].filename().string()) != std::string::npos);
      found |= !read;
    }
    constexpr std::size_t header_bytes = 16;  // each object is checked for itself
    damaged_objects += at >= header_bytes;
    unreadable += at >= header_bytes && found;
  };
  for (const std::size_t at : places_in(good))
    for (const Damage damage : damages) look(at, damage);
  CHECK(damaged_objects > 500);
  CHECK(unreadable * 100 >= damaged_objects * 90);  // a flip in what zstd does not need may do no harm
  overwrite(packs[0], good);
  std::filesystem::remove(packs[0]);
  auto volume = Volume::open(place.directory(), place.runtime(), std::make_shared<PackStore>(place.folder / "packs"));
  REQUIRE(volume);
  Bytes bytes(4096);
  CHECK((*volume)->read(8 * MiB, bytes).error().kind == Error::Kind::not_found);
}

TEST_CASE("a damaged volume.db is refused or does no harm, and never ends the program") {
  constexpr std::size_t page = 4096, file_header = 100, page_header = 12;
  const Place place;
  {
    auto volume = place.open();
    REQUIRE(volume->write(0, noise(8192, 1)));
    REQUIRE(volume->checkpoint("one"));
    REQUIRE(volume->close());
  }
  const Path database = place.directory() / "volume.db", copy = place.folder / "copy";
  const std::string good = *read_file(database);
  REQUIRE(make_directories(place.folder / "runtime-damaged"));
  const auto is_refused = [&](const std::string& bad) {
    // A copy, since an open removes files that volume.db does not name.
    REQUIRE(remove_tree(copy));
    REQUIRE(make_directories(copy));
    std::filesystem::copy(place.directory() / "layers", copy / "layers",
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::create_hard_links);
    overwrite(copy / "volume.db", bad);
    const auto opened = Volume::open(copy, place.folder / "runtime-damaged");
    if (!opened) {
      CAPTURE(to_text(opened.error()));
      CHECK(to_text(opened.error()).find(copy.string()) != std::string::npos);
      return true;
    }
    (void)(*opened)->checkpoints();
    Bytes bytes(8192);
    (void)(*opened)->read(0, bytes);
    return false;
  };
  CHECK_FALSE(is_refused(good));
  // What says that it is a database, and that it is ours; the rest of the header is counters.
  for (std::size_t at = 0; at < 16; ++at) CHECK(is_refused(damaged(good, at, Damage::flip)));
  for (std::size_t at = 60; at < 64; ++at) CHECK(is_refused(damaged(good, at, Damage::flip)));
  for (std::size_t at = 16; at < file_header; ++at) (void)is_refused(damaged(good, at, Damage::flip));
  int refused = 0;
  for (std::size_t begin = 0; begin < good.size(); begin += page) {
    const std::size_t header = begin == 0 ? file_header : begin;
    for (std::size_t at = header; at < header + page_header; ++at)
      refused += is_refused(damaged(good, at, Damage::flip));
    CAPTURE(begin);
    CHECK(is_refused(damaged(good, begin, Damage::cut)));
    const bool refused_short = is_refused(damaged(good, begin + page / 2, Damage::cut));
    CHECK((refused_short || begin + page == good.size()));  // SQLite takes the rest of a short last page for zeros
  }
  std::mt19937 random(3);
  for (int i = 0; i < 100; ++i) {
    std::string bad = good;
    const std::size_t at = random() % good.size();
    for (std::size_t j = at; j < std::min(at + 16, bad.size()); ++j) bad[j] = static_cast<char>(random());
    refused += is_refused(bad);
  }
  CHECK(refused > 0);
}

TEST_CASE("damaged block states are refused by name where they can be told, and else read without harm") {
  const Place place;
  {
    auto volume = place.open();
    REQUIRE(volume->write(8 * MiB, noise(64 * KiB, 1)));
    REQUIRE(volume->checkpoint("one"));
    REQUIRE(volume->write(9 * MiB, noise(64 * KiB, 2)));
    REQUIRE(volume->trim(5 * MiB, MiB));
    REQUIRE(volume->close());
  }
  Bytes all(place.size_bytes);
  for (const char* const name : {"1.bits", "2.bits"}) {
    const Path path = place.directory() / "layers" / name;
    const std::string good = *read_file(path);
    const auto open_damaged = [&](const std::string& bad) {
      overwrite(path, bad);
      auto opened = Volume::open(place.directory(), place.runtime(), place.packs);
      if (!opened) {
        CHECK((opened.error().kind == Error::Kind::corrupt || opened.error().kind == Error::Kind::invalid));
        CHECK(to_text(opened.error()).find(name) != std::string::npos);
        return false;
      }
      REQUIRE((*opened)->read(0, all));
      REQUIRE((*opened)->close());
      return true;
    };
    for (std::size_t at = 0; at < 76; ++at) {
      // The instance is a twin's; without one, only the checksum tells.
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
      CAPTURE(at);
      CHECK_FALSE(open_damaged(bad));
    }
    for (std::size_t length = 0; length < good.size(); length += 512) CHECK_FALSE(open_damaged(good.substr(0, length)));
    CHECK_FALSE(open_damaged(good + std::string(4096, '\0')));
    int refused = 0;
    for (std::size_t at = 4096; at < good.size(); ++at) {
      if (at % 8 != 0 && good[at] == 0) continue;  // those that say something, and some others
      for (const unsigned char damage : {0x01, 0xff}) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ damage);
        refused += !open_damaged(bad);
      }
    }
    CHECK(refused > 0);  // a state that there is not
    overwrite(path, good);
  }
  Bytes bytes(4096);
  CHECK(place.open()->read(8 * MiB, bytes).has_value());
}
