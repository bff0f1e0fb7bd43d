#pragma once
/// The little of ELF that an initramfs needs: which libraries a program wants, what a kernel module depends on.
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sprite::image {

struct Linkage {
  std::string interpreter{};          ///< "/lib64/ld-linux-x86-64.so.2"; empty for a static program.
  std::vector<std::string> needed{};  ///< DT_NEEDED, in order.
};

/// What the program or library `elf` is linked with (64-bit little endian). Errors: invalid.
Result<Linkage> read_linkage(ByteView elf);

/// The "key=value" entries of a kernel module's .modinfo section. Errors: invalid.
Result<std::multimap<std::string, std::string>> read_module_info(ByteView elf);

/// Whether the kernel `elf` can be started by its PVH entry (a Xen note of type 18), as QEMU does. Errors: invalid.
Result<bool> has_pvh_entry(ByteView elf);

/// Cuts off what the kernel does not load when it runs the program: symbols and debug information. Errors: invalid.
Result<> strip_program(Bytes& elf);

}  // namespace sprite::image
