#include "image/manifest.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "unit/image/fixture.h"

namespace sprite::image {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST_CASE("a manifest reads back as it was written") {
  const test::TemporaryDirectory home;
  const Manifest made = test::make_image(home / "a", "base", "one");
  const auto read = read_manifest(home / "a");
  REQUIRE(read.has_value());
  CHECK(to_json(*read) == to_json(made));
  CHECK(read->kernel_arguments == "console=ttyS0");
  CHECK(read->files.size() == 3);
}

TEST_CASE("a manifest that lies or lacks something is refused") {
  const test::TemporaryDirectory home;
  const Manifest made = test::make_image(home / "a", "base", "one");
  const std::string good = to_json(made);
  REQUIRE(parse_manifest(good).has_value());
  for (const std::string& bad :
       {std::string(""), std::string("[]"), good.substr(0, good.size() / 2),
        replaced(good, "\"format\":1", "\"format\":2"), replaced(good, "\"name\":\"vmlinuz\"", "\"name\":\"../../x\""),
        replaced(good, made.digest, std::string(64, '0')), replaced(good, made.files[0].sha256, "123"),
        replaced(good, "\"disk_bytes\":1073741824", "\"disk_bytes\":-1"),
        replaced(good, "\"suite\":\"bookworm\",", "")}) {
    const auto refused = parse_manifest(bad);
    REQUIRE_FALSE_MESSAGE(refused.has_value(), bad);
    CHECK(refused.error().kind == Error::Kind::corrupt);
  }
}

TEST_CASE("the digest of an image depends on each file, the kernel's arguments, and nothing else") {
  const test::TemporaryDirectory home;
  const Manifest a = test::make_image(home / "a", "base", "one"), b = test::make_image(home / "b", "other", "one");
  CHECK(a.digest == b.digest);
  std::vector<ImageFile> files = a.files;
  std::reverse(files.begin(), files.end());
  CHECK(digest_of(files, a.kernel_arguments) == a.digest);
  CHECK(digest_of(files, "quiet") != a.digest);
  for (ImageFile& each : files) {
    const std::string before = std::exchange(each.sha256, std::string(64, '0'));
    CHECK(digest_of(files, a.kernel_arguments) != a.digest);
    each.sha256 = before;
  }
}

}  // namespace
}  // namespace sprite::image
