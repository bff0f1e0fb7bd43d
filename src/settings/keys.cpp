// The table of all settings. A new setting is a member of Settings and a row here.
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "base/sleep_time.h"
#include "base/text.h"
#include "settings/settings.h"

namespace sprite::settings {
namespace {

/// The longest path below runtime_dir is "/vm/<12 digits>/channel.sock", and a socket's path ends at 107 bytes.
constexpr std::size_t runtime_dir_limit = 107 - 29;

Error not_allowed(const std::string& value) {
  return Error{Error::Kind::invalid, "'" + value + "' is not allowed", "", {}};
}

std::string home(const Environment& environment) {
  if (const auto home = environment("HOME")) return *home;
  const passwd* user = ::getpwuid(::getuid());
  return user ? user->pw_dir : "/";
}

/// An XDG base directory; relative ones are ignored, as the specification wants.
std::string xdg(const Environment& environment, const std::string& variable, std::string_view below_home) {
  const auto value = environment(variable);
  if (value && value->front() == '/') return *value;
  return home(environment) + "/" + std::string(below_home);
}

/// $XDG_RUNTIME_DIR counts only if it is ours: `su` keeps the variable of another user.
std::string runtime_directory(const Environment& environment) {
  const auto value = environment("XDG_RUNTIME_DIR");
  struct stat info {};
  const bool ours = value && value->front() == '/' && ::stat(value->c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
                    info.st_uid == ::geteuid();
  if (ours && value->size() + 7 <= runtime_dir_limit) return *value + "/sprite";
  return "/tmp/sprite-" + std::to_string(::geteuid());
}

/// Containers often have a /dev/shm of 64 MiB, in which no machine fits: its memory is in files on the disk then.
std::string memory_directory(const Environment& environment) {
  struct statvfs shared {};
  if (::statvfs("/dev/shm", &shared) == 0 && shared.f_blocks * shared.f_frsize >= 2 * GiB)
    return "/dev/shm/sprite-" + std::to_string(::geteuid());
  return xdg(environment, "XDG_DATA_HOME", ".local/share") + "/sprite/memory";
}

Result<Path> to_path(const std::string& value) {
  Path path = value;
  if (value == "~" || value.starts_with("~/")) path = home(process_environment) + value.substr(1);
  if (!path.is_absolute()) return not_allowed(value);
  return path.lexically_normal();
}

template <Path Settings::*member>
Result<> assign_path(Settings& settings, const std::string& value) {
  TRY_LET(settings.*member, to_path(value));
  return {};
}

Result<> assign_runtime_dir(Settings& settings, const std::string& value) {
  TRY_LET(settings.runtime_dir, to_path(value));
  if (settings.runtime_dir.native().size() > runtime_dir_limit) return not_allowed(value);
  return {};
}

template <std::string Settings::*member>
Result<> assign_text(Settings& settings, const std::string& value) {
  settings.*member = value;
  return {};
}

Result<> assign_image(Settings& settings, const std::string& value) {
  if (value.empty()) return not_allowed(value);
  settings.default_image = value;
  return {};
}

template <std::uint64_t Settings::*member, std::uint64_t least, std::uint64_t most>
Result<> assign_size(Settings& settings, const std::string& value) {
  const auto bytes = parse_size(value);
  if (!bytes || *bytes < least || *bytes > most) return not_allowed(value);
  settings.*member = *bytes;
  return {};
}

template <auto member, unsigned long least, unsigned long most>
Result<> assign_number(Settings& settings, const std::string& value) {
  unsigned long number = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, failed] = std::from_chars(value.data(), end, number);
  if (failed != std::errc{} || rest != end || number < least || number > most) return not_allowed(value);
  settings.*member = static_cast<std::remove_reference_t<decltype(settings.*member)>>(number);
  return {};
}

template <SleepTime Settings::*member>
Result<> assign_sleep_time(Settings& settings, const std::string& value) {
  const auto time = parse_sleep_time(value);
  if (!time) return not_allowed(value);
  settings.*member = *time;
  return {};
}

constexpr std::string_view accelerators = "auto|kvm|emulation", log_levels = "debug|info|warning|error";

bool is_one_of(const std::string& value, std::string_view choices) {
  return std::ranges::count(split(choices, '|'), value) > 0;
}

Result<> assign_accelerator(Settings& settings, const std::string& value) {
  if (!is_one_of(value, accelerators)) return not_allowed(value);
  settings.accelerator = value;
  return {};
}

Result<> assign_log_level(Settings& settings, const std::string& value) {
  const std::vector<std::string> names = split(log_levels, '|');
  const auto found = std::ranges::find(names, value);
  if (found == names.end()) return not_allowed(value);
  settings.log_level = static_cast<log::Level>(found - names.begin());
  return {};
}

template <std::size_t size>
struct Literal {
  char text[size]{};
  constexpr Literal(const char (&from)[size]) { std::copy_n(from, size, text); }
};
/// A default that is the same for everybody.
template <Literal text>
std::string always(const Environment&) {
  return text.text;
}

constexpr std::string_view a_sleep_time = "a time from 1s on, such as 30s or 10m, or never";
constexpr std::string_view a_path = "an absolute path, or one that starts with ~/";

constexpr std::array table{
    Key{"data_dir", "path", a_path, "Disks of sprites, and images.",
        [](const Environment& e) { return xdg(e, "XDG_DATA_HOME", ".local/share") + "/sprite"; },
        "~/.local/share/sprite", assign_path<&Settings::data_dir>},
    Key{"state_dir", "path", a_path, "Logs of the daemon.",
        [](const Environment& e) { return xdg(e, "XDG_STATE_HOME", ".local/state") + "/sprite"; },
        "~/.local/state/sprite", assign_path<&Settings::state_dir>},
    Key{"runtime_dir", "path", "an absolute path of at most 78 bytes", "Sockets; private to you, gone after a reboot.",
        [](const Environment& e) { return runtime_directory(e); }, "$XDG_RUNTIME_DIR/sprite, else /tmp/sprite-UID",
        assign_runtime_dir},
    Key{"memory_dir", "path", a_path, "Memory of running sprites; best on a tmpfs, of 2 GiB at least.",
        [](const Environment& e) { return memory_directory(e); },
        "/dev/shm/sprite-UID, else ~/.local/share/sprite/memory", assign_path<&Settings::memory_dir>},
    Key{"memory_reserve", "size", "a size from 16MiB to 1TiB, such as 256MiB",
        "Memory that stays free: where less is left, sprites sleep on the disk or stand still until there is more.",
        always<"256MiB">, "256MiB", assign_size<&Settings::memory_reserve_bytes, 16 * MiB, 1024 * GiB>},
    Key{"templates", "size", "a size such as 4GiB, or 0B for none",
        "Disk space for templates: saved, booted machines that new sprites begin as.", always<"4GiB">, "4GiB",
        assign_size<&Settings::template_budget_bytes, 0, 1024 * GiB>},
    Key{"pool", "count", "a whole number from 0 to 16",
        "Machines kept ready while sprites are made and started, and as many while they wake; each takes about 150 "
        "MiB.",
        always<"1">, "1", assign_number<&Settings::blanks_max, 0, 16>},
    Key{"image.default", "text", "the name of an image (`sprite image list`)", "Image of new sprites.", always<"base">,
        "base", assign_image},
    Key{"sprite.memory", "size", "a size from 256MiB to 1TiB, such as 4GiB", "Memory of a new sprite.", always<"1GiB">,
        "1GiB", assign_size<&Settings::sprite_memory_bytes, 256 * MiB, 1024 * GiB>},
    Key{"sprite.vcpus", "count", "a whole number from 1 to 64", "Processors of a new sprite.", always<"2">, "2",
        assign_number<&Settings::sprite_vcpus, 1, 64>},
    Key{"sleep.after", "time", a_sleep_time, "How long nobody and nothing uses a sprite until it is paused.",
        always<"30s">, "30s", assign_sleep_time<&Settings::sleep_after>},
    Key{"sleep.deep_after", "time", a_sleep_time, "How long it is paused until its memory is put on the disk.",
        always<"10m">, "10m", assign_sleep_time<&Settings::sleep_deep_after>},
    Key{"sleep.timer_floor", "time", a_sleep_time,
        "A sprite wakes for the timers of its programs that are due at least so long after it fell asleep.",
        always<"1m">, "1m", assign_sleep_time<&Settings::sleep_timer_floor>},
    Key{"api.port", "port", "a whole number from 0 to 65535", "Port of the API on 127.0.0.1; 0 takes any free one.",
        always<"0">, "0", assign_number<&Settings::api_port, 0, 65535>},
    Key{"hypervisor.uri", "text", "a libvirt URI, or nothing", "libvirt connection; empty runs libvirt in the daemon.",
        always<"">, "\"\"", assign_text<&Settings::hypervisor_uri>},
    Key{"hypervisor.accelerator", accelerators, "auto, kvm or emulation", "How the processors of sprites run.",
        always<"auto">, "auto", assign_accelerator},
    Key{"log.level", log_levels, "debug, info, warning or error", "Least important lines that the daemon logs.",
        always<"info">, "info", assign_log_level},
    Key{"log.limit", "size", "a size from 64KiB to 1TiB, such as 8MiB",
        "Size at which the daemon starts a new log file.", always<"8MiB">, "8MiB",
        assign_size<&Settings::log_limit_bytes, 64 * KiB, 1024 * GiB>},
};

}  // namespace

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value && *value ? std::optional<std::string>(value) : std::nullopt;
}

std::span<const Key> keys() { return table; }

Result<const Key*> find_key(std::string_view name, std::string_view else_try) {
  const auto found = std::ranges::find(table, name, &Key::name);
  if (found != table.end()) return &*found;
  std::vector<std::string> names;
  for (const Key& key : table) names.emplace_back(key.name);
  const auto near = nearest(name, names);
  return Error{Error::Kind::not_found,
               "there is no setting '" + std::string(name) + "'",
               near ? "did you mean '" + *near + "'?" : std::string(else_try),
               {}};
}

std::string variable_of(const Key& key) {
  std::string variable = "SPRITE_";
  for (const char c : key.name)
    variable += c == '.' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return variable;
}

std::string_view to_string(Source source) {
  constexpr std::array<std::string_view, 3> names{"default", "file", "environment"};
  return names[static_cast<std::size_t>(source)];
}

Path file_path(const Environment& environment) {
  return Path(xdg(environment, "XDG_CONFIG_HOME", ".config")) / "sprite" / "config.yaml";
}

}  // namespace sprite::settings
