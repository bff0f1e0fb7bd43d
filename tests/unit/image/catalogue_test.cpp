#include "image/catalogue.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "unit/image/fixture.h"

namespace sprite::image {
namespace {

/// A catalogue, and images beside it to import.
struct Fixture {
  test::TemporaryDirectory home;
  Catalogue images{home / "images"};

  Manifest make(const std::string& folder, const std::string& name, const std::string& content) {
    return test::make_image(home / folder, name, content);
  }
  Image imported(const std::string& folder) {
    auto image = images.import_from(home / folder);
    REQUIRE_MESSAGE(image.has_value(), to_text(image ? Error{} : image.error()));
    return *image;
  }
  std::size_t entries() const {
    std::size_t count = 0;
    for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(home / "images")) ++count;
    return count;
  }
};

TEST_CASE_FIXTURE(Fixture, "an empty catalogue lists nothing and says how to get an image") {
  CHECK(images.list()->empty());
  const auto missing = images.find("base");
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().kind == Error::Kind::not_found);
  CHECK(missing.error().hint.find("sprite image build") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "an imported image is found by name, digest, and both") {
  const Manifest made = make("a", "base", "one");
  const Image image = imported("a");
  CHECK(image.directory == home / "images" / made.digest);
  CHECK(image.manifest.packages.at("bash") == "5.2");
  for (const std::string& reference : {std::string("base"), made.digest, made.digest.substr(0, 6),
                                       "base@" + made.digest.substr(0, 12), "base@" + made.digest})
    CHECK_MESSAGE(images.find(reference).has_value(), reference);
  for (const std::string& reference : {made.digest.substr(0, 5), std::string("base@"),
                                       std::string("other@") + made.digest, std::string(""), std::string("bas")})
    CHECK_MESSAGE(!images.find(reference).has_value(), reference);
  CHECK(images.find("bass").error().hint.find("'base'") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a name means the image imported last, also when that one is older") {
  const Manifest one = make("a", "base", "one"), two = make("b", "base", "two");
  imported("a");
  imported("b");
  CHECK(images.find("base")->manifest.digest == two.digest);
  CHECK(images.list()->size() == 2);
  imported("a");
  CHECK(images.find("base")->manifest.digest == one.digest);
  CHECK(images.list()->size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "importing keeps holes and leaves no temporary files") {
  const Manifest made = make("a", "base", "one");
  const Image image = imported("a");
  CHECK(*allocated_bytes(image.rootfs()) <= 1 * MiB);
  CHECK(entries() == 2);  // the image and the lock
  std::filesystem::remove_all(home / "a");
  CHECK(Catalogue::verify(image).has_value());
}

TEST_CASE_FIXTURE(Fixture, "what a dead import left is removed by the next one") {
  std::filesystem::create_directories(home / "images" / ".import-new");
  test::write_text(home / "images" / ".import-new" / "vmlinuz", "half");
  CHECK(images.list()->empty());
  make("a", "base", "one");
  imported("a");
  CHECK(entries() == 2);
}

TEST_CASE_FIXTURE(Fixture, "a damaged source is refused, named, and changes nothing") {
  make("a", "base", "one");
  SUBCASE("content") { test::write_text(home / "a" / kernel_file, "kernel onX"); }
  SUBCASE("truncated") { REQUIRE(::truncate((home / "a" / kernel_file).c_str(), 3) == 0); }
  SUBCASE("missing") { std::filesystem::remove(home / "a" / kernel_file); }
  SUBCASE("a FIFO, which would never answer") {
    std::filesystem::remove(home / "a" / kernel_file);
    REQUIRE(::mkfifo((home / "a" / kernel_file).c_str(), 0600) == 0);
  }
  SUBCASE("a link") {
    std::filesystem::rename(home / "a" / kernel_file, home / "elsewhere");
    std::filesystem::create_symlink(home / "elsewhere", home / "a" / kernel_file);
  }
  const auto refused = images.import_from(home / "a");
  REQUIRE_FALSE(refused.has_value());
  CHECK_MESSAGE(to_text(refused.error()).find("vmlinuz") != std::string::npos, to_text(refused.error()));
  CHECK(images.list()->empty());
}

TEST_CASE_FIXTURE(Fixture, "what is written into the source later does not reach the image, nor the other way round") {
  make("a", "base", "one");
  const Image image = imported("a");
  for (const ImageFile& each : image.manifest.files) {
    CAPTURE(each.name);
    const auto fd = open_file(home / "a" / each.name, O_RDWR);
    REQUIRE(pwrite_all(fd->get(), as_bytes("evil"), 0).has_value());
    CHECK_FALSE(std::filesystem::equivalent(home / "a" / each.name, image.directory / each.name));
  }
  CHECK(Catalogue::verify(image).has_value());
}

TEST_CASE_FIXTURE(Fixture, "a FIFO as manifest is refused instead of waited for") {
  std::filesystem::create_directories(home / "a");
  REQUIRE(::mkfifo((home / "a" / manifest_file).c_str(), 0600) == 0);
  CHECK(images.import_from(home / "a").error().kind == Error::Kind::invalid);
}

TEST_CASE_FIXTURE(Fixture, "one changed byte deep in the disk image is found") {
  make("a", "base", "one");
  const Image image = imported("a");
  {
    auto fd = open_file(image.rootfs(), O_RDWR);
    REQUIRE(pwrite_all(fd->get(), as_bytes("x"), 900 * MiB).has_value());
  }
  const auto damaged = Catalogue::verify(image);
  REQUIRE_FALSE(damaged.has_value());
  CHECK(damaged.error().kind == Error::Kind::corrupt);
  CHECK(to_text(damaged.error()).find("rootfs.img") != std::string::npos);
  CHECK(damaged.error().hint.find("sprite image") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "importing again mends a damaged image") {
  make("a", "base", "one");
  const Image image = imported("a");
  std::filesystem::remove(image.kernel());
  REQUIRE_FALSE(Catalogue::verify(image).has_value());
  CHECK(Catalogue::verify(imported("a")).has_value());
}

TEST_CASE_FIXTURE(Fixture, "an image without a readable manifest is listed with its problem and hides no other") {
  make("a", "base", "one");
  make("b", "dev", "two");
  const Image broken = imported("a");
  imported("b");
  test::write_text(broken.directory / manifest_file, "{");
  REQUIRE(images.list()->size() == 2);
  CHECK(images.find("dev").has_value());
  CHECK(images.find("base").error().kind == Error::Kind::not_found);
  CHECK(images.find(broken.manifest.digest).error().kind == Error::Kind::corrupt);
  CHECK(images.remove(broken.manifest.digest, {}).has_value());
  CHECK(images.list()->size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "an image in use stays") {
  make("a", "base", "one");
  const Image image = imported("a");
  const auto refused = images.remove("base", {image.manifest.digest});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == Error::Kind::busy);
  CHECK(Catalogue::verify(image).has_value());
  const std::string begins_alike = image.manifest.digest.substr(0, 12) + std::string(52, '0');
  CHECK(images.remove("base", {begins_alike}).has_value());
  CHECK(images.list()->empty());
  CHECK(images.remove("base", {}).error().kind == Error::Kind::not_found);
}

TEST_CASE_FIXTURE(Fixture, "removing by a name that several images have asks for more") {
  make("a", "base", "one");
  make("b", "base", "two");
  imported("a");
  imported("b");
  CHECK(images.remove("base", {}).error().kind == Error::Kind::invalid);
  CHECK(images.list()->size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "an exported image comes back the same") {
  const Manifest made = make("a", "base", "one");
  imported("a");
  const Path archive = home / "base.tar.zst";
  const auto exported = images.export_to("base", archive);
  REQUIRE_MESSAGE(exported.has_value(), to_text(exported ? Error{} : exported.error()));
  CHECK(std::filesystem::file_size(archive) < 1 * MiB);
  CHECK(images.export_to("base", archive).error().kind == Error::Kind::exists);

  const Catalogue other(home / "other");
  const auto image = other.import_from(archive);
  REQUIRE_MESSAGE(image.has_value(), to_text(image ? Error{} : image.error()));
  CHECK(image->manifest.digest == made.digest);
  CHECK(*allocated_bytes(image->rootfs()) <= 1 * MiB);
}

TEST_CASE_FIXTURE(Fixture, "a cut off archive, and a file that is none, are refused and leave nothing") {
  make("a", "base", "one");
  imported("a");
  const Path archive = home / "base.tar.zst";
  REQUIRE(images.export_to("base", archive).has_value());
  SUBCASE("cut off") { std::filesystem::resize_file(archive, std::filesystem::file_size(archive) - 20); }
  SUBCASE("not an archive") { test::write_text(archive, "hello"); }
  const Catalogue other(home / "other");
  const auto refused = other.import_from(archive);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().kind == Error::Kind::corrupt);
  CHECK(other.list()->empty());
  CHECK_FALSE(std::filesystem::exists(home / "other" / ".import-archive"));
}

TEST_CASE_FIXTURE(Fixture, "what is not there at all") {
  CHECK(images.import_from(home / "nothing").error().kind == Error::Kind::not_found);
  std::filesystem::create_directories(home / "empty");
  const auto refused = images.import_from(home / "empty");
  CHECK(to_text(refused.error()).find("is not an image") != std::string::npos);
}

}  // namespace
}  // namespace sprite::image
