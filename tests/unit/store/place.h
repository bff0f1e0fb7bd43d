#pragma once
/// A folder with an image of some data and some holes, a volume over it, and packs.
#include <doctest/doctest.h>
#include <unistd.h>

#include "store/volume.h"
#include "support/temporary_directory.h"

namespace sprite::store::test {

struct Place {
  static constexpr std::uint64_t small = 24 * MiB;
  static constexpr std::uint64_t data_at[] = {0, 5 * MiB + 12288};

  explicit Place(std::uint64_t size = small) : size_bytes(size) {
    const auto file = open_file(image(), O_RDWR | O_CREAT);
    REQUIRE(file);
    REQUIRE(::ftruncate(file->get(), static_cast<off_t>(std::min(size, small) - 8192)) == 0);  // ends before the volume
    for (const std::uint64_t at : data_at) REQUIRE(pwrite_all(file->get(), filled(64 * KiB, 'i'), at));
    REQUIRE(make_directories(runtime()));
    REQUIRE(make_directories(directory()));
    REQUIRE(Volume::create(directory(), image(), size));
  }
  static Bytes filled(std::size_t count, char value) { return Bytes(count, static_cast<std::byte>(value)); }
  Path image() const { return folder / "image"; }
  Path runtime() const { return folder / "runtime"; }
  Path directory() const { return folder / "sprite"; }
  std::shared_ptr<Volume> open() const {
    auto volume = Volume::open(directory(), runtime(), packs);
    if (!volume) FAIL(to_text(volume.error()));
    return *volume;
  }
  /// What the image reads as.
  Bytes model() const {
    Bytes model(size_bytes);
    for (const std::uint64_t at : data_at)
      std::ranges::copy(filled(64 * KiB, 'i'), model.begin() + static_cast<std::ptrdiff_t>(at));
    return model;
  }

  sprite::test::TemporaryDirectory folder;
  std::uint64_t size_bytes;
  std::shared_ptr<PackStore> packs = std::make_shared<PackStore>(folder / "packs");
};

}  // namespace sprite::store::test
