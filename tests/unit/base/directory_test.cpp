#include "base/directory.h"

#include <doctest/doctest.h>

#include "support/temporary_directory.h"

using namespace sprite;

TEST_CASE("a directory's entries are sorted, and what cannot be listed is an error, not an exception") {
  test::TemporaryDirectory directory;
  for (const char* name : {"b", "a", ".c"}) REQUIRE(write_file_atomically(directory / name, "text"));
  const auto found = list_directory(directory.path());
  REQUIRE(found);
  CHECK(*found == std::vector<Path>{directory / ".c", directory / "a", directory / "b"});
  CHECK(list_directory(directory / "none").error().kind == Error::Kind::not_found);
  CHECK_FALSE(list_directory(directory / "a"));
  CHECK(entries_of(directory / "none").empty());
}
