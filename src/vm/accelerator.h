#pragma once
/// Whether guests run on KVM or in emulation (ARCHITECTURE.md, decision 11).
#include <string>
#include <string_view>

#include "base/result.h"
#include "vm/hypervisor.h"

namespace sprite::vm {

/// What the user asks for; `automatic` takes KVM where it can work.
enum class AcceleratorChoice { automatic, kvm, emulation };

struct AcceleratorDecision {
  Accelerator accelerator = Accelerator::emulation;
  std::string reason;  ///< Half a sentence: "the CPU shows neither vmx nor svm".
};

/// Decides from the text of /proc/cpuinfo and the errno of opening /dev/kvm (0: it opened). A /dev/kvm that opens
/// proves nothing: a CPU without vmx or svm cannot run it properly. Errors: unavailable (`kvm` is asked for and cannot
/// work).
Result<AcceleratorDecision> decide_accelerator(AcceleratorChoice choice, std::string_view cpuinfo, int kvm_open_errno);

/// decide_accelerator() for this machine. Errors: unavailable.
Result<AcceleratorDecision> detect_accelerator(AcceleratorChoice choice);

/// The first processor in the text of /proc/cpuinfo: its name, and a checksum of its flags.
std::string describe_cpu(std::string_view cpuinfo);

/// How fast this machine's time stamp counter counts, in kHz; 0 where it has none. Takes 20 ms.
unsigned long measure_tsc_khz();

}  // namespace sprite::vm
