#pragma once
/// Settings: one validated value made of the defaults, the file config.yaml and the environment, in rising precedence.
/// keys.cpp holds the one table of every key with its default, unit and help.
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/result.h"
#include "base/sleep_time.h"

namespace sprite::settings {

/// Every setting, checked. Paths are absolute.
struct Settings {
  Path data_dir, state_dir, runtime_dir, memory_dir;
  std::string default_image;
  std::uint64_t sprite_memory_bytes = 0;
  unsigned sprite_vcpus = 0;
  std::uint64_t template_budget_bytes = 0;  ///< 0: no templates.
  unsigned blanks_max = 0;
  std::uint64_t memory_reserve_bytes = 0;
  SleepTime sleep_after{}, sleep_deep_after{}, sleep_timer_floor{};
  std::uint16_t api_port = 0;  ///< 0: any free one.
  std::string hypervisor_uri;  ///< Empty: libvirt inside the daemon.
  std::string accelerator;     ///< "auto", "kvm" or "emulation"
  log::Level log_level = log::Level::info;
  std::uint64_t log_limit_bytes = 0;
};

/// Looks up an environment variable; nothing if it is unset or empty. A parameter so that tests need not touch the
/// process's.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
std::optional<std::string> process_environment(const std::string& name);

/// A row of the table.
struct Key {
  std::string_view name;     ///< As in the file, a section and a dot first: "sprite.memory".
  std::string_view unit;     ///< "size", "path", … or the words to choose from: "auto|kvm|emulation".
  std::string_view allowed;  ///< For error texts: "a size from 256MiB to 1TiB, such as 4GiB".
  std::string_view help;
  std::string (*standard)(const Environment&);  ///< The default.
  std::string_view standard_text;               ///< The default for people, where it depends on the user.
  Result<> (*assign)(Settings& settings, const std::string& value);  ///< Checks and stores. Errors: invalid.
};

std::span<const Key> keys();
/// The key of that name. Errors: not_found (with the nearest name as hint, or `else_try`).
Result<const Key*> find_key(std::string_view name,
                            std::string_view else_try = "run `sprite config show` to see all settings");
/// The environment variable that overrides a key: SPRITE_ and the name in capitals, '.' as '_'.
std::string variable_of(const Key& key);

enum class Source { standard, file, environment };
/// "default", "file" or "environment".
std::string_view to_string(Source source);

/// The settings, and where each value came from (in the order of keys()).
struct Loaded {
  struct Entry {
    const Key* key = nullptr;
    std::string value;
    Source source = Source::standard;
  };
  Path file;  ///< Where config.yaml is or would be.
  Settings values;
  std::vector<Entry> entries;
};

/// `$XDG_CONFIG_HOME/sprite/config.yaml`.
Path file_path(const Environment& environment = process_environment);
/// Reads everything. Errors: invalid (unknown key, value not allowed, not YAML: each with the line), denied (unreadable
/// file).
Result<Loaded> load(const Environment& environment = process_environment);
/// As load(), with `text` in place of the file's content.
Result<Loaded> load_from(const std::string& text, const Environment& environment = process_environment);

/// Sets `key` to `value` in the file, which keeps its comments and order; the file is made when absent. Nothing is
/// written unless the outcome is valid. Errors: not_found (no such key), invalid, as system_error.
Result<> set(std::string_view key, const std::string& value, const Environment& environment = process_environment);
/// The text of a settings file with one value changed or added: see set(). Errors: invalid (a shape we cannot edit).
Result<std::string> with_value(const std::string& text, std::string_view key, const std::string& value);
/// Every key with its help, commented out at its default: config/config.yaml.
std::string example();

}  // namespace sprite::settings
