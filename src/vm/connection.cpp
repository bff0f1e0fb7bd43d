#include "vm/connection.h"

#include <fmt/format.h>

#include <cstdlib>
#include <mutex>

#include "base/process.h"
#include "vm/embedded.h"
#include "vm/libvirt_library.h"
#include "vm/one_thread.h"

namespace sprite::vm {
namespace {

std::string version_text(unsigned long version) {
  return fmt::format("{}.{}.{}", version / 1000000, version / 1000 % 1000, version % 1000);
}

Path session_log_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  return (cache ? Path(cache) : Path(home ? home : "/") / ".cache") / "libvirt" / "qemu" / "log";
}

Path log_directory_for(const LibvirtOptions& options) {
  if (options.uri.empty()) return options.directory / "log" / "qemu";
  return options.uri.ends_with("/system") ? Path("/var/log/libvirt/qemu") : session_log_directory();
}

void announce_probing(const LibvirtOptions& options) {
  const Path cache = options.directory / "cache" / "qemu" / "capabilities";
  std::error_code failed;
  if (options.uri.empty() && options.on_notice &&
      (!std::filesystem::exists(cache, failed) || std::filesystem::is_empty(cache, failed)))
    options.on_notice("libvirt asks QEMU what it can do; once, for a few seconds");
}

/// As XML; empty if libvirt cannot use it. `emulator` nullptr: the one that libvirt chooses.
std::string capabilities_text(virConnectPtr connection, const char* emulator, Accelerator accelerator) {
  const char* type = accelerator == Accelerator::kvm ? "kvm" : "qemu";
  return take_text(virConnectGetDomainCapabilities(connection, emulator, "x86_64", "q35", type, 0));
}

/// The versioned machine type and the emulator's path, for a machine of that accelerator. Errors: unavailable.
Result<Platform> learn_platform(virConnectPtr connection, Accelerator accelerator) {
  const std::string text = capabilities_text(connection, nullptr, accelerator);
  if (text.empty()) return libvirt_error("libvirt cannot use QEMU");
  Platform platform{accelerator,
                    element_text(text, "path"),
                    element_text(text, "machine"),
                    Network::user,
                    accelerator == Accelerator::emulation ? measure_tsc_khz() : 0,
                    {}};
  if (platform.machine_type.empty() || platform.emulator.empty())
    return Error{Error::Kind::unavailable, "libvirt does not say which q35 machine QEMU has", {}, {}};
  return platform;
}

/// libvirt asks it what it can do, once, as it asks QEMU. Errors: as write_file_atomically(), unavailable (programs in
/// the directory cannot be run).
Result<> use_one_thread(virConnectPtr connection, const Path& directory, Platform& platform) {
  TRY_LET(Path launcher, one_thread_launcher(directory, platform.emulator));
  if (capabilities_text(connection, launcher.c_str(), platform.accelerator).empty())
    return libvirt_error("libvirt cannot run '" + launcher.string() + "'");
  platform.launcher = std::move(launcher);
  return {};
}

Result<unsigned long> qemu_version(virConnectPtr connection) {
  unsigned long version = 0;
  if (virConnectGetVersion(connection, &version) != 0) return libvirt_error("cannot ask for QEMU's version");
  return version;
}

Result<Facts> learn_facts(virConnectPtr connection, unsigned long qemu, AcceleratorDecision decision,
                          const Platform& platform, const NetworkDecision& network) {
  unsigned long libvirt = 0;
  if (virConnectGetLibVersion(connection, &libvirt) != 0) return libvirt_error("cannot ask for libvirt's version");
  if (!platform.launcher.empty())
    decision.reason += "; a sprite's processors share one thread, since QEMU is older than 8.1";
  const auto cpuinfo = read_file("/proc/cpuinfo");
  return Facts{.accelerator = decision.accelerator,
               .accelerator_reason = std::move(decision.reason),
               .qemu_version = version_text(qemu),
               .libvirt_version = version_text(libvirt),
               .network = network.network == Network::passt ? "passt" : "user",
               .network_reason = network.reason,
               .machine_type = platform.machine_type,
               .cpu = describe_cpu(cpuinfo ? *cpuinfo : std::string())};
}

/// Of two drivers with one root libvirt lets only the first one in.
Error opening_error(const std::string& uri) {
  Error error = libvirt_error("cannot open libvirt at '" + uri + "'");
  if (error.because.empty() || error.because.front().find("driver.pid") == std::string::npos) return error;
  error.kind = Error::Kind::busy;
  error.hint = "another process uses it: `sprite daemon status` shows whether that is the daemon";
  return error;
}

Result<> require_qemu() {
  if (find_program("qemu-system-x86_64")) return {};
  return Error{Error::Kind::unavailable,
               "QEMU is not installed: there is no qemu-system-x86_64 in PATH",
               "run `make deps`, or `apt install qemu-system-x86`",
               {}};
}

}  // namespace

Result<Opened> open_connection(const LibvirtOptions& options) {
  TRY(require_qemu());
  TRY(load_libvirt());
  TRY_LET(auto decision, detect_accelerator(options.accelerator));
  TRY(make_private_directory(options.directory));
  std::string uri = options.uri;
  if (uri.empty()) {
    TRY_LET(uri, prepare_embedded(options.directory, options.short_name));
    static std::once_flag cleared;  // a look at libvirt's lock would take it from an earlier opening of ours
    std::call_once(cleared, clear_unfinished, options.directory);
  }
  announce_probing(options);
  Opened opened;
  opened.events = std::make_unique<EventLoop>();
  opened.connection.reset(virConnectOpen(uri.c_str()));
  if (!opened.connection) return opening_error(uri);
  TRY_LET(opened.platform, learn_platform(opened.connection.get(), decision.accelerator));
  TRY_LET(const unsigned long qemu, qemu_version(opened.connection.get()));
  if (options.uri.empty() && needs_one_thread(decision.accelerator, qemu)) {
    const auto used = use_one_thread(opened.connection.get(), options.directory, opened.platform);
    if (!used && options.on_notice)
      options.on_notice("sprites may hang, since QEMU is older than 8.1 and emulates in threads: " + used.error().what);
  }
  const NetworkDecision network = detect_network(network_trial(options.directory));
  opened.platform.network = network.network;
  TRY_LET(opened.facts, learn_facts(opened.connection.get(), qemu, std::move(decision), opened.platform, network));
  opened.log_directory = log_directory_for(options);
  if (options.uri.empty()) opened.log_owner = QemuLogs::Owner::us;
  if (options.uri.empty()) remove_probes(options.directory);  // of a process that was killed while it asked
  return opened;
}

}  // namespace sprite::vm
