#include "vm/accelerator.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <cmath>

using namespace sprite;
using namespace sprite::vm;

namespace {
constexpr auto intel = "processor\t: 0\nflags\t\t: fpu vme vmx ssse3\nbugs\t\t:\n";
constexpr auto amd = "processor\t: 0\nflags\t\t: fpu svm sse\n";
constexpr auto guest = "processor\t: 0\nmodel name\t: vmx svm\nflags\t\t: fpu svm_lock vmxx sse\n";
}  // namespace

TEST_CASE("KVM needs a CPU flag and a device that opens") {
  struct Row {
    const char* cpuinfo;
    int kvm_open_errno;
    Accelerator expected;
    const char* reason;
  };
  for (const Row& row :
       {Row{intel, 0, Accelerator::kvm, "vmx"}, Row{amd, 0, Accelerator::kvm, "svm"},
        Row{guest, 0, Accelerator::emulation, "neither vmx nor svm"},
        Row{"", 0, Accelerator::emulation, "neither vmx nor svm"},
        Row{intel, ENOENT, Accelerator::emulation, "no /dev/kvm"},
        Row{amd, EACCES, Accelerator::emulation, "group kvm"}, Row{amd, EBUSY, Accelerator::emulation, "busy"}}) {
    CAPTURE(row.cpuinfo);
    CAPTURE(row.kvm_open_errno);
    const auto decision = decide_accelerator(AcceleratorChoice::automatic, row.cpuinfo, row.kvm_open_errno);
    REQUIRE(decision);
    CHECK(decision->accelerator == row.expected);
    CHECK(decision->reason.find(row.reason) != std::string::npos);
  }
}

TEST_CASE("what the settings ask for is done or refused") {
  const auto emulated = decide_accelerator(AcceleratorChoice::emulation, intel, 0);
  REQUIRE(emulated);
  CHECK(emulated->accelerator == Accelerator::emulation);
  CHECK(decide_accelerator(AcceleratorChoice::kvm, intel, 0)->accelerator == Accelerator::kvm);
  const auto refused = decide_accelerator(AcceleratorChoice::kvm, amd, EACCES);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == Error::Kind::unavailable);
  CHECK(refused.error().hint.find("usermod") != std::string::npos);
  CHECK_FALSE(decide_accelerator(AcceleratorChoice::kvm, guest, 0));
  const auto without_flag = decide_accelerator(AcceleratorChoice::kvm, guest, EACCES);
  REQUIRE_FALSE(without_flag);  // no group helps a CPU that cannot
  CHECK(without_flag.error().hint.find("usermod") == std::string::npos);
  const auto without_module = decide_accelerator(AcceleratorChoice::kvm, intel, ENOENT);
  REQUIRE_FALSE(without_module);
  CHECK(without_module.error().hint.find("modprobe kvm_intel") != std::string::npos);
}

TEST_CASE("the time stamp counter is measured alike each time") {
  const auto first = static_cast<double>(measure_tsc_khz()), second = static_cast<double>(measure_tsc_khz());
  CHECK(std::abs(first - second) <= first / 1000);
}
