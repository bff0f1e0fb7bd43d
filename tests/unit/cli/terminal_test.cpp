#include "cli/terminal.h"

#include <doctest/doctest.h>

using sprite::cli::harmless;

TEST_CASE("what guests say cannot type, retitle or hide") {
  CHECK(harmless("plain text, ümläuts, 日本語\tand\nlines") == "plain text, ümläuts, 日本語\tand\nlines");
  CHECK(harmless("\033[31mred\033[0m") == "\033[31mred\033[0m");
  CHECK(harmless("\033]0;title\007") == "?]0;title?");
  CHECK(harmless("\033[2Jgone\033[8;1H") == "?[2Jgone?[8;1H");
  CHECK(harmless("over\rwritten\b\x7f") == "over?written??");
  CHECK(harmless("\xC2\x9B"
                 "2J \xC2\xA0") == "?2J \xC2\xA0");
  CHECK(harmless("\033[31") == "?[31");
}
