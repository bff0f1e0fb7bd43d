#pragma once
/// The initramfs: our agent as /init, the programs it runs with their libraries, and the kernel's modules.
#include "image/recipe.h"
#include "image/tar.h"

namespace sprite::image {

/// The kernel release that `boot` holds modules of: "6.1.0-40-cloud-amd64". Errors: invalid (none, or several).
Result<std::string> kernel_release(const TarFile& boot);

/// Errors: invalid (not a program, or one that needs libraries).
Result<> check_agent(ByteView agent);

/// The cpio archive, not compressed. `boot` holds the boot packages' files; `agent` is a static program.
/// Errors: invalid (the agent is not static; a program, library or module is in none of the packages).
Result<std::string> make_initramfs(const TarFile& boot, const BootRecipe& recipe, ByteView agent);

}  // namespace sprite::image
