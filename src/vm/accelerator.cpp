#include "vm/accelerator.h"

#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#ifdef __x86_64__
#include <x86intrin.h>
#endif

#include "base/crc32c.h"
#include "base/text.h"

namespace sprite::vm {
namespace {

/// The virtualization flag of the first processor, or nothing.
std::string_view virtualization_flag(std::string_view cpuinfo) {
  for (const std::string& line : split(cpuinfo, '\n')) {
    if (!line.starts_with("flags")) continue;
    for (const std::string& word : split(line, ' ')) {
      if (word == "vmx") return "vmx";
      if (word == "svm") return "svm";
    }
    return {};
  }
  return {};
}

/// Why KVM cannot work here; empty when it can.
std::string obstacle(std::string_view flag, int kvm_open_errno) {
  if (flag.empty()) return "the CPU shows neither vmx nor svm";
  if (kvm_open_errno == ENOENT)
    return "there is no /dev/kvm (is virtualization on in the firmware, and module kvm loaded?)";
  if (kvm_open_errno == EACCES) return "/dev/kvm is closed to us (are you in group kvm?)";
  if (kvm_open_errno != 0) return std::string("/dev/kvm does not open: ") + std::strerror(kvm_open_errno);
  return {};
}

std::string hint_for(std::string_view flag, int kvm_open_errno) {
  const std::string emulate = "run in emulation: `sprite config set hypervisor.accelerator auto`";
  if (flag.empty()) return "switch virtualization on in the firmware, or " + emulate;
  if (kvm_open_errno == EACCES) return "run `sudo usermod -aG kvm $USER` and log in again";
  if (kvm_open_errno == ENOENT)
    return fmt::format("run `sudo modprobe {}`, or {}", flag == "vmx" ? "kvm_intel" : "kvm_amd", emulate);
  return emulate;
}

}  // namespace

Result<AcceleratorDecision> decide_accelerator(AcceleratorChoice choice, std::string_view cpuinfo, int kvm_open_errno) {
  if (choice == AcceleratorChoice::emulation)
    return AcceleratorDecision{Accelerator::emulation, "the settings ask for emulation"};
  const std::string_view flag = virtualization_flag(cpuinfo);
  std::string why_not = obstacle(flag, kvm_open_errno);
  if (why_not.empty())
    return AcceleratorDecision{Accelerator::kvm, fmt::format("the CPU shows {} and /dev/kvm opens", flag)};
  if (choice == AcceleratorChoice::kvm)
    return Error{Error::Kind::unavailable,
                 "the settings ask for KVM, which cannot work here",
                 hint_for(flag, kvm_open_errno),
                 {why_not}};
  return AcceleratorDecision{Accelerator::emulation, std::move(why_not)};
}

Result<AcceleratorDecision> detect_accelerator(AcceleratorChoice choice) {
  TRY_LET(const std::string cpuinfo, read_file("/proc/cpuinfo"));
  const Fd kvm(::open("/dev/kvm", O_RDWR | O_CLOEXEC));
  return decide_accelerator(choice, cpuinfo, kvm ? 0 : errno);
}

std::string describe_cpu(std::string_view cpuinfo) {
  std::string name, flags;
  for (const std::string& line : split(cpuinfo, '\n')) {
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string value = trim(std::string_view(line).substr(std::min(colon + 1, line.size())));
    if (line.starts_with("model name") && name.empty()) name = value;
    if (line.starts_with("flags") && flags.empty()) flags = value;
  }
  return fmt::format("{} ({:08x})", name, crc32c(0, as_bytes(flags)));
}

#ifdef __x86_64__
namespace {

struct Instant {
  std::chrono::steady_clock::time_point time;
  unsigned long long ticks = 0;
};

/// Both clocks at one instant: of some tries the one that took the least time, in which nothing came in between.
Instant read_both_clocks() {
  Instant best;
  auto least = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 20; ++i) {
    const auto before = std::chrono::steady_clock::now();
    const unsigned long long ticks = __rdtsc();
    const auto took = std::chrono::steady_clock::now() - before;
    if (took >= least) continue;
    least = took;
    best = {before + took / 2, ticks};
  }
  return best;
}

}  // namespace

unsigned long measure_tsc_khz() {
  const Instant first = read_both_clocks();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const Instant second = read_both_clocks();
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(second.time - first.time).count();
  return static_cast<unsigned long>(static_cast<double>(second.ticks - first.ticks) * 1e6 /
                                    static_cast<double>(nanoseconds));
}
#else
unsigned long measure_tsc_khz() { return 0; }
#endif

}  // namespace sprite::vm
