#include "image/digest.h"

#include <doctest/doctest.h>

#include "image/sparse.h"
#include "unit/image/fixture.h"

namespace sprite::image {
namespace {

TEST_CASE("SHA-256 of known texts") {
  CHECK(sha256_of_text("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_of_text("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a file's digest is that of its bytes") {
  const test::TemporaryDirectory home;
  const std::string text(3 * MiB + 7, 'x');
  test::write_text(home / "file", text);
  CHECK(*sha256_of_file(home / "file") == sha256_of_text(text));
  CHECK(sha256_of_file(home / "none").error().kind == Error::Kind::not_found);
}

TEST_CASE("a sparse file's digest does not depend on its holes, but on place, content and size") {
  const test::TemporaryDirectory home;
  test::write_sparse(home / "sparse", 8 * MiB, 5 * MiB + 3, "data");
  const std::string digest = *sha256_of_sparse_file(home / "sparse");

  std::string dense(8 * MiB, '\0');
  dense.replace(5 * MiB + 3, 4, "data");
  test::write_text(home / "dense", dense);
  CHECK(*sha256_of_sparse_file(home / "dense") == digest);

  test::write_sparse(home / "moved", 8 * MiB, 6 * MiB + 3, "data");
  test::write_sparse(home / "changed", 8 * MiB, 5 * MiB + 3, "dat_");
  test::write_sparse(home / "longer", 8 * MiB + 1, 5 * MiB + 3, "data");
  for (const char* other : {"moved", "changed", "longer"}) CHECK(*sha256_of_sparse_file(home / other) != digest);
}

TEST_CASE("a clone has the same bytes and no more space") {
  const test::TemporaryDirectory home;
  test::write_sparse(home / "a", 1 * GiB, 1 * GiB - 4, "tail");
  Linking linking = Linking::allowed;
  SUBCASE("linked") {}
  SUBCASE("copied") { linking = Linking::forbidden; }
  REQUIRE(clone_file(home / "a", home / "b", linking).has_value());
  CHECK(*sha256_of_sparse_file(home / "b") == *sha256_of_sparse_file(home / "a"));
  CHECK(*allocated_bytes(home / "b") <= 1 * MiB);
  CHECK(clone_file(home / "a", home / "b", Linking::forbidden).error().kind == Error::Kind::exists);
}

}  // namespace
}  // namespace sprite::image
