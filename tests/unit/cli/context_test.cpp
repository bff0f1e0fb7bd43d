#include "cli/context.h"

#include <doctest/doctest.h>

using namespace sprite;
using namespace sprite::cli;

TEST_CASE("a sprite is named once: two names that differ are refused") {
  Terminal terminal;
  const RunDaemon no_daemon;
  Globals globals;
  const Context context(globals, terminal, no_daemon);
  CHECK(*context.named("box") == "box");
  CHECK(context.named("")->empty());
  globals.sprite = "box";
  CHECK(*context.named("") == "box");
  CHECK(*context.named("box") == "box");
  const auto refused = context.named("other");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::invalid);
  CHECK(refused.error().what == "two sprites are named: 'other', and 'box' with -s");
}
