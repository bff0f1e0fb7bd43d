#include "store/volume.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <thread>

#include "support/temporary_directory.h"
#include "unit/store/place.h"

using namespace sprite;
using store::Volume;
using store::test::Place;

namespace {

constexpr std::uint64_t small = Place::small, large = 100ULL * 1000 * 1000 * 1000 / 4096 * 4096;

Bytes read(Volume& volume, std::uint64_t offset, std::size_t count) {
  Bytes bytes(count);
  REQUIRE(volume.read(offset, bytes));
  return bytes;
}

/// One random operation on the volume and the model alike.
void step(Volume& volume, Bytes& model, std::mt19937& random) {
  const std::uint64_t unit = std::array{1U, 512U, 4096U, 65536U}[random() % 4];
  const std::uint64_t offset = random() % (model.size() / unit) * unit;
  const std::uint64_t length = std::min<std::uint64_t>((random() % 40 + 1) * unit, model.size() - offset);
  const auto at = model.begin() + static_cast<std::ptrdiff_t>(offset);
  switch (random() % 8) {
    case 0: REQUIRE(volume.flush()); break;
    case 1:
    case 2: {
      const bool trim = random() % 2 == 0;
      REQUIRE((trim ? volume.trim(offset, length) : volume.write_zeroes(offset, length)));
      std::fill_n(at, length, std::byte{0});
      break;
    }
    case 3: {
      CHECK(read(volume, offset, length) == Bytes(at, at + static_cast<std::ptrdiff_t>(length)));
      break;
    }
    default: {
      const Bytes data = Place::filled(length, static_cast<char>('a' + random() % 26));
      REQUIRE(volume.write(offset, data));
      std::ranges::copy(data, at);
    }
  }
}

/// Runs `body` in a process of its own that is killed while it still holds the volume that the body returns.
template <class Body>
void in_killed_process(Body body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    try {
      const std::shared_ptr<Volume> still_open = body();
      ::kill(::getpid(), SIGKILL);
    } catch (...) {
    }
    ::_exit(1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFSIGNALED(status));
  REQUIRE(WTERMSIG(status) == SIGKILL);
}

}  // namespace

TEST_CASE("a new volume reads like its image, with zeros behind its end") {
  const Place place;
  auto volume = place.open();
  CHECK(volume->size_bytes() == small);
  CHECK(read(*volume, 0, small) == place.model());
}

TEST_CASE("random operations agree with a model, also after reopening") {
  const Place place;
  Bytes model = place.model();
  std::mt19937 random(1);
  for (int round = 0; round < 4; ++round) {
    auto volume = place.open();
    for (int i = 0; i < 300; ++i) step(*volume, model, random);
    CHECK(read(*volume, 0, small) == model);
    if (round % 2 == 0) REQUIRE(volume->close());
  }
  CHECK(read(*place.open(), 0, small) == model);
}

TEST_CASE("after a kill, writes that were answered and not flushed are there") {
  const Place place;
  Bytes model = place.model();
  for (unsigned seed = 0; seed < 5; ++seed) {
    in_killed_process([&] {
      auto volume = Volume::open(place.directory(), place.runtime());
      if (!volume) ::_exit(1);
      std::mt19937 random(seed);
      Bytes ignored = model;
      for (int i = 0; i < 100; ++i) step(**volume, ignored, random);
      return *volume;
    });
    Bytes expected = model;
    std::mt19937 random(seed);
    {
      const Place shadow;  // the same operations on another volume, for the model's sake
      auto volume = shadow.open();
      REQUIRE(volume->write(0, model));
      for (int i = 0; i < 100; ++i) step(*volume, expected, random);
    }
    model = expected;
    auto volume = place.open();
    REQUIRE(read(*volume, 0, small) == model);
    if (seed % 3 == 0) REQUIRE(volume->close());
  }
}

TEST_CASE("without the runtime directory only what was flushed counts") {
  const Place place;
  in_killed_process([&] {
    auto volume = Volume::open(place.directory(), place.runtime());
    if (!volume || !(*volume)->write(0, Place::filled(8192, 'f')) || !(*volume)->flush() ||
        !(*volume)->write(MiB, Place::filled(8192, 'u')))
      ::_exit(1);
    return *volume;
  });
  REQUIRE(remove_tree(place.runtime()));
  REQUIRE(make_directories(place.runtime()));
  auto volume = place.open();
  CHECK(read(*volume, 0, 8192) == Place::filled(8192, 'f'));
  CHECK(read(*volume, MiB, 8192) == Bytes(8192));
}

TEST_CASE("block states left in another runtime directory are not taken for current ones") {
  const Place place;
  in_killed_process([&] {
    auto volume = Volume::open(place.directory(), place.runtime());
    if (!volume || !(*volume)->write(0, Place::filled(4096, 'a'))) ::_exit(1);
    return *volume;
  });
  REQUIRE(make_directories(place.folder / "other"));
  {
    auto volume = Volume::open(place.directory(), place.folder / "other");
    REQUIRE(volume);
    REQUIRE((*volume)->write(MiB, Place::filled(4096, 'b')));
    REQUIRE((*volume)->close());
  }
  auto volume = place.open();
  CHECK(read(*volume, MiB, 4096) == Place::filled(4096, 'b'));
}

TEST_CASE("the halves of one block, written at once by several threads, are all there") {
  const Place place;
  auto volume = place.open();
  constexpr std::uint64_t blocks = 2000;
  std::vector<std::thread> threads;
  for (unsigned part = 0; part < 4; ++part)
    threads.emplace_back([&volume, part] {
      for (std::uint64_t block = 0; block < blocks; ++block)
        (void)volume->write(10 * MiB + block * 4096 + part * 1024, Place::filled(1024, static_cast<char>('a' + part)));
    });
  for (std::thread& thread : threads) thread.join();
  for (std::uint64_t block = 0; block < blocks; ++block)
    for (unsigned part = 0; part < 4; ++part)
      REQUIRE(read(*volume, 10 * MiB + block * 4096 + part * 1024, 1024) ==
              Place::filled(1024, static_cast<char>('a' + part)));
}

TEST_CASE("trimming gives storage back, and takes no time for a whole disk") {
  const Place place(large);
  auto volume = place.open();
  const std::uint64_t before = volume->used_bytes();
  REQUIRE(volume->write(GiB, Place::filled(32 * MiB, 'x')));
  REQUIRE(volume->flush());
  CHECK(volume->used_bytes() >= before + 32 * MiB);
  const auto begun = std::chrono::steady_clock::now();
  REQUIRE(volume->trim(0, large));
  const auto took = std::chrono::steady_clock::now() - begun;
  MESSAGE("trim of 100 GB: ", std::chrono::duration_cast<std::chrono::microseconds>(took).count(), " us");
  CHECK(took < std::chrono::milliseconds(500));  // 100 ms on an idle machine
  REQUIRE(volume->flush());
  CHECK(volume->used_bytes() < before + MiB);
  CHECK(read(*volume, 0, 128 * KiB) == Bytes(128 * KiB));
  const auto extents = volume->block_status(0, large, 10);
  REQUIRE(extents);
  CHECK(extents->size() == 1);
  CHECK(extents->front().zero);
}

TEST_CASE("block status follows the layers") {
  const Place place;
  auto volume = place.open();
  REQUIRE(volume->write(128 * KiB, Place::filled(4096, 'x')));
  REQUIRE(volume->trim(4096, 4096));
  const auto extents = volume->block_status(0, 1 * MiB, 10);
  REQUIRE(extents);
  std::vector<std::pair<std::uint64_t, bool>> seen;
  for (const auto& extent : *extents) seen.emplace_back(extent.length_bytes, extent.zero);
  const std::vector<std::pair<std::uint64_t, bool>> expected{{4096, false},    {4096, true},  {56 * KiB, false},
                                                             {64 * KiB, true}, {4096, false}, {MiB - 132 * KiB, true}};
  CHECK(seen == expected);
  CHECK(volume->block_status(0, MiB, 2)->size() == 2);
}

TEST_CASE("a volume is open once, made once, and damage is named") {
  const Place place;
  CHECK(Volume::create(place.directory(), place.image(), small).error().kind == Error::Kind::exists);
  CHECK(Volume::create(place.folder / "new", place.image(), 1000).error().kind == Error::Kind::invalid);
  CHECK(Volume::open(place.folder / "nowhere", place.runtime()).error().kind == Error::Kind::not_found);
  {
    auto volume = place.open();
    CHECK(Volume::open(place.directory(), place.runtime()).error().kind == Error::Kind::busy);
    REQUIRE(volume->close());
  }
  const Path bits = place.directory() / "layers/1.bits";
  const std::string whole = *read_file(bits);
  for (const std::size_t at : {0U, 9U, 16U, 24U, 72U, 4096U}) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    REQUIRE(write_file_atomically(bits, damaged));
    const auto opened = Volume::open(place.directory(), place.runtime());
    REQUIRE_FALSE(opened);
    CHECK(opened.error().kind == Error::Kind::corrupt);
    CHECK(to_text(opened.error()).find("1.bits") != std::string::npos);
  }
  REQUIRE(write_file_atomically(bits, whole.substr(0, 5000)));
  CHECK(Volume::open(place.directory(), place.runtime()).error().kind == Error::Kind::corrupt);
  REQUIRE(write_file_atomically(bits, whole));
  CHECK(Volume::open(place.directory(), place.runtime()));
}

TEST_CASE("the folder may be renamed and the image removed") {
  const Place place;
  std::filesystem::rename(place.directory(), place.folder / "renamed");
  std::filesystem::remove(place.image());
  auto volume = Volume::open(place.folder / "renamed", place.runtime());
  REQUIRE(volume);
  CHECK(read(**volume, 0, small) == place.model());
}
