// sprite doctor: one line per check, with the mend for what is wrong.
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <boost/json/value.hpp>

#include "base/process.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/daemon_process.h"
#include "cli/resources.h"
#include "cli/shutdown_outlook.h"
#include "image/catalogue.h"
#include "wire/json.h"

namespace sprite::cli::verb {
namespace {

enum class Health { good, warning, bad };

struct Check {
  std::string name;
  Health health = Health::good;
  std::string text;
  std::string mend{};
};

Check from_error(std::string name, const Error& error) {
  std::string text = error.what;
  for (const std::string& cause : error.because) text += ": " + cause;
  return {std::move(name), Health::bad, std::move(text), error.hint};
}

Check check_settings(Context& context) {
  const auto loaded = context.settings();
  if (!loaded) return from_error("settings", loaded.error());
  std::error_code ignored;
  const bool there = std::filesystem::exists((*loaded)->file, ignored);
  return {"settings", Health::good, there ? (*loaded)->file.string() : "the defaults"};
}

Check check_processor() {
  const auto info = read_file("/proc/cpuinfo");
  const bool can = info && (info->find(" vmx") != std::string::npos || info->find(" svm") != std::string::npos);
  if (!can)
    return {"processor", Health::warning,
            "emulation: the CPU shows neither vmx nor svm, sprites are several times slower",
            "switch virtualization on in the firmware, or nested virtualization in the host of this machine"};
  if (open_file("/dev/kvm", O_RDWR)) return {"processor", Health::good, "KVM"};
  if (errno == ENOENT)
    return {"processor", Health::warning, "emulation: there is no /dev/kvm", "modprobe kvm_intel, or kvm_amd"};
  return {"processor", Health::warning, "emulation: /dev/kvm does not open for you",
          "sudo usermod --append --groups kvm \"$USER\", then log in anew"};
}

Check check_qemu() {
  const auto finished = run_process({"qemu-system-x86_64", "--version"}, std::chrono::seconds(10));
  if (!finished || finished->exit_status != 0)
    return {"qemu", Health::bad, "qemu-system-x86_64 is not installed", "sudo apt-get install qemu-system-x86"};
  return {"qemu", Health::good, finished->out.substr(0, finished->out.find('\n'))};
}

Check check_libvirt() {
  glob_t found{};
  const bool there =
      ::glob("/usr/lib*/{,*/}libvirt/connection-driver/libvirt_driver_qemu.so", GLOB_BRACE, nullptr, &found) == 0;
  ::globfree(&found);
  if (there) return {"libvirt", Health::good, "with its QEMU driver"};
  return {"libvirt", Health::bad, "libvirt's QEMU driver is not installed",
          "sudo apt-get install libvirt-daemon-driver-qemu"};
}

Check check_network() {
  if (find_program("passt")) return {"network", Health::good, "passt"};
  return {"network", Health::warning, "QEMU's own (slower): passt is not installed", "sudo apt-get install passt"};
}

Check check_user() {
  const passwd* user = ::getpwuid(::geteuid());
  return {"user", Health::good,
          (user ? user->pw_name : "unnamed") + std::string(" (uid ") + std::to_string(::geteuid()) + ")"};
}

/// The directory itself, or the nearest one above it that exists.
Path nearest_existing(Path path) {
  std::error_code ignored;
  while (path.has_parent_path() && path != path.parent_path() && !std::filesystem::exists(path, ignored))
    path = path.parent_path();
  return path;
}

Check check_disk(const settings::Settings& settings) {
  struct statvfs info {};
  if (::statvfs(nearest_existing(settings.data_dir).c_str(), &info) != 0)
    return from_error("disk", system_error("cannot look at '" + settings.data_dir.string() + "'"));
  const std::uint64_t free_bytes = std::uint64_t{info.f_bavail} * info.f_frsize;
  const std::string text = format_size(free_bytes) + " free for " + settings.data_dir.string();
  if (free_bytes >= 10 * GiB) return {"disk", Health::good, text};
  return {"disk", free_bytes < 2 * GiB ? Health::bad : Health::warning, text,
          "make room, or move the disks: sprite config set data_dir PATH"};
}

Check check_memory(const settings::Settings& settings) {
  constexpr long tmpfs = 0x01021994, hugetlbfs = 0x958458f6;
  const Path& path = settings.memory_dir;
  const std::string mend = "sprite config set memory_dir PATH, or sprite config set sprite.memory SIZE";
  std::error_code ignored;
  if (!std::filesystem::is_directory(path.parent_path(), ignored))
    return {"memory", Health::bad, "there is no '" + path.parent_path().string() + "'", mend};
  struct statfs info {};
  if (::statfs(nearest_existing(path).c_str(), &info) != 0)
    return from_error("memory", system_error("cannot look at '" + path.string() + "'"));
  const std::uint64_t free_bytes = static_cast<std::uint64_t>(info.f_bavail) * static_cast<std::uint64_t>(info.f_bsize);
  const std::string text = format_size(free_bytes) + " free in " + path.string() + "; a new sprite takes up to " +
                           format_size(settings.sprite_memory_bytes);
  if (free_bytes < settings.sprite_memory_bytes) return {"memory", Health::bad, text, mend};
  if (info.f_type != tmpfs && info.f_type != hugetlbfs)
    return {"memory", Health::warning, text + "; it is not a tmpfs, so slow", mend};
  return {"memory", Health::good, text};
}

Check check_image(const settings::Settings& settings) {
  const auto image = image::Catalogue(settings.data_dir / "images").find(settings.default_image);
  if (image) return {"image", Health::good, image->reference()};
  Check check = from_error("image", image.error());
  if (check.mend.empty()) check.mend = "sprite image build, or sprite image import FILE";
  return check;
}

Check check_shutdown() {
  const ShutdownOutlook outlook = shutdown_outlook(shutdown_facts());
  return {"shutdown", outlook.good ? Health::good : Health::warning, outlook.text, outlook.mend};
}

/// The daemon is started when it is not running: whether that works is what counts.
Check check_daemon(Context& context, const settings::Settings& settings) {
  const auto started = ensure_daemon(settings);
  if (!started) return from_error("daemon", started.error());
  const auto api = context.api();
  if (!api) return from_error("daemon", api.error());
  const auto body = (*api)->call("GET", "/v1/daemon");
  if (!body) return from_error("daemon", body.error());
  const auto status = wire::from_json<wire::DaemonStatus>(*body);
  if (!status) return from_error("daemon", status.error());
  std::string text = "version " + status->version + ", process " + std::to_string(status->pid) + ", " +
                     std::to_string(status->sprites) + " sprites, " + std::to_string(status->running) + " running";
  if (status->version != SPRITE_VERSION)
    return {"daemon", Health::warning, text + "; this is " SPRITE_VERSION, "sprite daemon restart"};
  return {"daemon", Health::good, std::move(text)};
}

std::vector<Check> check_all(Context& context) {
  std::vector<Check> checks{check_settings(context)};
  const auto loaded = context.settings();
  checks.insert(checks.end(), {check_processor(), check_qemu(), check_libvirt(), check_user(), check_network()});
  if (!loaded) return checks;
  const settings::Settings& settings = (*loaded)->values;
  checks.insert(checks.end(), {check_disk(settings), check_memory(settings), check_image(settings), check_shutdown(),
                               check_daemon(context, settings)});
  return checks;
}

void print(Terminal& terminal, const Check& check) {
  constexpr std::array marks{"✓", "!", "✗"};
  constexpr std::array styles{Style::green, Style::yellow, Style::red};
  const auto health = static_cast<std::size_t>(check.health);
  std::string name = check.name;
  name.resize(10, ' ');
  std::string line = terminal.styled(styles[health], marks[health]) + " " + name + " " + check.text;
  if (!check.mend.empty()) line += "; try: " + check.mend;
  terminal.print_line(line);
}

Result<int> run(Context& context) {
  const std::vector<Check> checks = check_all(context);
  boost::json::array all;
  bool well = true;
  for (const Check& check : checks) {
    constexpr std::array words{"ok", "warning", "error"};
    all.push_back({{"check", check.name},
                   {"status", words[static_cast<std::size_t>(check.health)]},
                   {"text", check.text},
                   {"mend", check.mend}});
    if (!context.globals.json) print(context.terminal, check);
    well = well && check.health != Health::bad;
  }
  if (context.globals.json) print_json(context.terminal, all);
  return well ? 0 : 1;
}

}  // namespace

Action doctor(Syntax&) { return run; }

}  // namespace sprite::cli::verb
