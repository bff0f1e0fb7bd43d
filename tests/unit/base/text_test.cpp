#include "base/text.h"

#include <doctest/doctest.h>

using namespace sprite;
using namespace std::chrono_literals;

TEST_CASE("a size is a number and a unit") {
  CHECK(*parse_size("65536") == 65536);
  CHECK(*parse_size("4GiB") == 4 * 1024ULL * 1024 * 1024);
  CHECK(*parse_size("512 MiB") == 512ULL * 1024 * 1024);
  CHECK(*parse_size("100GB") == 100'000'000'000ULL);
  CHECK(*parse_size("1.5k") == 1536);
  for (const char* wrong : {"", "x", "4 gallons", "-1", "4GiB4", "1e99", "."}) {
    CAPTURE(wrong);
    REQUIRE_FALSE(parse_size(wrong));
    CHECK(parse_size(wrong).error().kind == Error::Kind::invalid);
  }
}

TEST_CASE("a duration is what Go, Python and people write") {
  CHECK(*parse_duration("30s") == 30s);
  CHECK(*parse_duration("1m30s") == 90s);
  CHECK(*parse_duration("500ms") == 500ms);
  CHECK(*parse_duration("5") == 5s);
  CHECK(*parse_duration("5.0s") == 5s);
  CHECK(*parse_duration("2h") == 120min);
  for (const char* wrong : {"", "s", "5 fortnights", "-5s"}) CHECK_FALSE(parse_duration(wrong));
  CHECK(format_duration(90s) == "1m30s");
  CHECK(format_duration(250ms) == "250ms");
}

TEST_CASE("a time survives being written and read") {
  const auto time = *parse_time("2026-06-02T17:11:17.821Z");
  CHECK(format_time(time) == "2026-06-02T17:11:17.821Z");
  CHECK_FALSE(parse_time("yesterday"));
}

TEST_CASE("a word of a shell line is what it was, whatever is in it") {
  CHECK(shell_word("") == "''");
  CHECK(shell_word("a b $c") == "'a b $c'");
  CHECK(shell_word("it's") == "'it'\\''s'");
}

TEST_CASE("the nearest word is suggested only when it is near") {
  const std::vector<std::string> words{"memory", "vcpus", "memory_dir"};
  CHECK(nearest("memroy", words) == "memory");
  CHECK_FALSE(nearest("colour", words).has_value());
}

TEST_CASE("a sprite's name is one DNS label") {
  CHECK(check_sprite_name("my-box-2"));
  for (const char* wrong : {"", "-a", "a-", "A", "a_b", "a.b", "../x"}) {
    CAPTURE(wrong);
    CHECK_FALSE(check_sprite_name(wrong));
  }
  CHECK_FALSE(check_sprite_name(std::string(49, 'a')));
}
