#pragma once
/// Texts kept in files: a test compares with them, SPRITE_ACCEPT=1 in the environment rewrites them.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

namespace sprite::test {

/// Compares `text` with the file at `path` below the project's directory.
inline void check_golden(const std::string& path, const std::string& text) {
  const std::string whole = std::string(SPRITE_SOURCE_DIR "/") + path;
  if (std::getenv("SPRITE_ACCEPT")) std::ofstream(whole, std::ios::binary) << text;
  std::ifstream file(whole, std::ios::binary);
  const std::string expected{std::istreambuf_iterator<char>(file), {}};
  INFO("golden file: ", path, " (SPRITE_ACCEPT=1 rewrites it)");
  CHECK(text == expected);
}

}  // namespace sprite::test
