#include "settings/settings.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <map>

#include "support/golden.h"
#include "support/temporary_directory.h"

using namespace sprite;
using namespace sprite::settings;

namespace {

/// An environment of a test's own.
Environment only(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

const Environment nobody = only({{"HOME", "/home/nobody"}});

Error error_of(const std::string& text) {
  const auto loaded = load_from(text, nobody);
  REQUIRE_FALSE(loaded);
  return loaded.error();
}

std::string text_of(const Error& error) { return to_text(error); }

}  // namespace

TEST_CASE("without a file every setting has its default") {
  const auto loaded = load_from("", nobody);
  REQUIRE(loaded);
  CHECK(loaded->values.data_dir == "/home/nobody/.local/share/sprite");
  CHECK(loaded->values.state_dir == "/home/nobody/.local/state/sprite");
  CHECK(loaded->values.runtime_dir == "/tmp/sprite-" + std::to_string(::geteuid()));
  CHECK(loaded->values.memory_dir == "/dev/shm/sprite-" + std::to_string(::geteuid()));
  CHECK(loaded->values.default_image == "base");
  CHECK(loaded->values.sprite_memory_bytes == GiB);
  CHECK(loaded->values.sprite_vcpus == 2);
  CHECK(loaded->values.api_port == 0);
  CHECK(loaded->values.accelerator == "auto");
  CHECK(loaded->values.log_limit_bytes == 8 * MiB);
  CHECK(loaded->entries.size() == keys().size());
  CHECK(loaded->file == "/home/nobody/.config/sprite/config.yaml");
}

TEST_CASE("XDG directories count, and a runtime directory only when it is ours") {
  const test::TemporaryDirectory ours;
  const auto loaded = load_from("", only({{"HOME", "/h"},
                                          {"XDG_DATA_HOME", "/d"},
                                          {"XDG_STATE_HOME", "relative"},
                                          {"XDG_CONFIG_HOME", "/c"},
                                          {"XDG_RUNTIME_DIR", ours.path()}}));
  REQUIRE(loaded);
  CHECK(loaded->values.data_dir == "/d/sprite");
  CHECK(loaded->values.state_dir == "/h/.local/state/sprite");
  CHECK(loaded->values.runtime_dir == ours / "sprite");
  CHECK(loaded->file == "/c/sprite/config.yaml");
  const auto strange = load_from("", only({{"HOME", "/h"}, {"XDG_RUNTIME_DIR", "/proc/1/nothing"}}));
  CHECK(strange->values.runtime_dir == "/tmp/sprite-" + std::to_string(::geteuid()));
}

TEST_CASE("the file overrides defaults, the environment overrides the file") {
  const auto loaded = load_from("sprite:\n  memory: 2GiB\n  vcpus: 4\nmemory_dir: /user\n",
                                only({{"HOME", "/h"}, {"SPRITE_SPRITE_VCPUS", "8"}}));
  REQUIRE(loaded);
  CHECK(loaded->values.sprite_memory_bytes == 2 * GiB);
  CHECK(loaded->values.sprite_vcpus == 8);
  CHECK(loaded->values.memory_dir == "/user");
  for (const auto& entry : loaded->entries) {
    CAPTURE(entry.key->name);
    if (entry.key->name == "sprite.memory")
      CHECK(entry.source == Source::file);
    else if (entry.key->name == "sprite.vcpus")
      CHECK(entry.source == Source::environment);
    else if (entry.key->name == "data_dir")
      CHECK(entry.source == Source::standard);
  }
}

TEST_CASE("an unknown key names its line and the nearest key") {
  const std::string text = text_of(error_of("memory_dir: /user\nsprite:\n  memroy: 1GiB\n"));
  CHECK(text.find("config.yaml', line 3") != std::string::npos);
  CHECK(text.find("'sprite.memroy'") != std::string::npos);
  CHECK(text.find("did you mean 'sprite.memory'?") != std::string::npos);
  CHECK(error_of("memroy_dir: /x\n").kind == Error::Kind::invalid);
}

TEST_CASE("a value that is not allowed is named with its key, its line and what is allowed") {
  const std::string text = text_of(error_of("\nsprite:\n  memory: 5 gallons\n"));
  CHECK(text.find("setting 'sprite.memory' cannot be '5 gallons'") != std::string::npos);
  CHECK(text.find("line 3") != std::string::npos);
  CHECK(text.find("a size from 256MiB to 1TiB") != std::string::npos);
  for (const char* wrong :
       {"sprite:\n  vcpus: 0\n", "sprite:\n  vcpus: two\n", "sprite:\n  vcpus: -1\n", "sprite:\n  memory: 1\n",
        "api:\n  port: 65536\n", "hypervisor:\n  uri: [a]\n", "hypervisor:\n  accelerator: xen\n",
        "log:\n  level: loud\n", "data_dir: relative\n", "image:\n  default: \"\"\n", "data_dir:\n", "data_dir: [a]\n",
        "sprite: 1\n", "- a\n", "just text\n", "a: [\n", "memory_dir: /user\nmemory_dir: /passt\n",
        "sprite:\n  memory:\n    deep: 1\n"}) {
    CAPTURE(wrong);
    CHECK(error_of(wrong).kind == Error::Kind::invalid);
  }
  const std::string long_path = "/" + std::string(78, 'x');
  CHECK(error_of("runtime_dir: " + long_path + "\n").kind == Error::Kind::invalid);
}

TEST_CASE("a wrong environment variable is named") {
  const auto loaded = load_from("", only({{"HOME", "/h"}, {"SPRITE_MEMORY_DIR", "x"}}));
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().what.find("environment variable SPRITE_MEMORY_DIR") != std::string::npos);
}

TEST_CASE("a settings file that cannot be read is an error, not the defaults") {
  const test::TemporaryDirectory home;
  std::filesystem::create_directories(home / "sprite/config.yaml");  // a directory in its place fails for root, too
  const auto loaded = load(only({{"HOME", "/h"}, {"XDG_CONFIG_HOME", home.path()}}));
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().what == "cannot read the settings");
  CHECK(to_text(loaded.error()).find("config.yaml") != std::string::npos);
}

TEST_CASE("changing a value keeps comments and order") {
  const std::string text = "# mine\nmemory_dir: /user  # slow but sure\n\nsprite:\n  # big\n  memory: 2GiB\n# end\n";
  CHECK(*with_value(text, "memory_dir", "/passt") ==
        "# mine\nmemory_dir: /passt  # slow but sure\n\nsprite:\n  # big\n  memory: 2GiB\n# end\n");
  CHECK(*with_value(text, "sprite.memory", "3GiB") ==
        "# mine\nmemory_dir: /user  # slow but sure\n\nsprite:\n  # big\n  memory: 3GiB\n# end\n");
  CHECK(*with_value(text, "sprite.vcpus", "3") ==
        "# mine\nmemory_dir: /user  # slow but sure\n\nsprite:\n  vcpus: 3\n  # big\n  memory: 2GiB\n# end\n");
  CHECK(*with_value(text, "log.level", "debug") == text + "log:\n  level: debug\n");
  CHECK(*with_value("", "memory_dir", "/user") == "memory_dir: /user\n");
  CHECK(*with_value("", "hypervisor.uri", "") == "hypervisor:\n  uri: \"\"\n");
  CHECK(*with_value("sprite:\n  memory_dir: x\n", "memory_dir", "/user") ==
        "sprite:\n  memory_dir: x\nmemory_dir: /user\n");
}

TEST_CASE("every key can be set in the example to its default and is then read back") {
  std::string text = example();
  for (const Key& key : keys()) {
    const std::string value = key.standard(nobody);
    text = *with_value(text, key.name, value);
    const auto loaded = load_from(text, nobody);
    CAPTURE(text);
    REQUIRE(loaded);
    for (const auto& entry : loaded->entries)
      if (entry.key == &key) {
        CHECK(entry.value == value);
        CHECK(entry.source == Source::file);
      }
  }
}

TEST_CASE("setting writes the file, or nothing at all") {
  const test::TemporaryDirectory home;
  const Environment environment = only({{"HOME", "/h"}, {"XDG_CONFIG_HOME", home.path()}});
  REQUIRE(set("sprite.memory", "4GiB", environment));
  CHECK(load(environment)->values.sprite_memory_bytes == 4 * GiB);
  const std::string before = *read_file(home / "sprite/config.yaml");
  CHECK(before.find("# Settings of sprite.") == 0);
  const auto wrong = set("sprite.memory", "4 gallons", environment);
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().kind == Error::Kind::invalid);
  CHECK(set("sprite.memroy", "1GiB", environment).error().hint == "did you mean 'sprite.memory'?");
  CHECK(*read_file(home / "sprite/config.yaml") == before);
  REQUIRE(write_file_atomically(home / "sprite/config.yaml", "sprite: {memory: 2GiB}\n"));
  CHECK(set("sprite.memory", "1GiB", environment).error().kind == Error::Kind::invalid);
  CHECK(*read_file(home / "sprite/config.yaml") == "sprite: {memory: 2GiB}\n");
}

TEST_CASE("setting through a link changes the file behind it") {
  const test::TemporaryDirectory home;
  const Environment environment = only({{"HOME", "/h"}, {"XDG_CONFIG_HOME", home.path()}});
  std::filesystem::create_directories(home / "sprite");
  REQUIRE(write_file_atomically(home / "dotfile.yaml", "memory_dir: /user\n"));
  std::filesystem::create_symlink(home / "dotfile.yaml", home / "sprite/config.yaml");
  REQUIRE(set("memory_dir", "/passt", environment));
  CHECK(std::filesystem::is_symlink(home / "sprite/config.yaml"));
  CHECK(*read_file(home / "dotfile.yaml") == "memory_dir: /passt\n");
}

TEST_CASE("config/config.yaml is the example") { test::check_golden("config/config.yaml", example()); }
