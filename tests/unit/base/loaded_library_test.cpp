#include "base/loaded_library.h"

#include <doctest/doctest.h>
#include <stdlib.h>

using namespace sprite;

TEST_CASE("a library's own functions are called once it is loaded") {
  LoadedLibrary library("the C library", "libc.so.6");
  CHECK_FALSE(library.has("abs"));
  REQUIRE_FALSE(library.load());
  CHECK(library.has("abs"));
  CHECK_FALSE(library.has("sprite_abs"));
  CHECK(library.real<static_cast<int (*)(int)>(&::abs)>("abs")(-3) == 3);
  CHECK_FALSE(library.load());
}

TEST_CASE("a library that is not there says so") {
  LoadedLibrary library("no library", "libsprite-is-not-there.so.1");
  const auto failure = library.load();
  REQUIRE(failure);
  CHECK(failure->find("libsprite-is-not-there.so.1") != std::string::npos);
}
