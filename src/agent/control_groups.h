#pragma once
/// Control groups: handing the controllers down, so that what runs below can divide its resources further.
#include <sys/types.h>

#include "base/file.h"
#include "base/result.h"

namespace sprite::agent {

/// Lets the groups below `group` use every controller that it has. A controller that cannot be handed down is left out.
/// Errors: as system_error.
Result<> hand_down_controllers(const Path& group);
/// Removes an empty group, with those below it. Errors: as system_error (a process is in one of them).
Result<> remove_group(const Path& group);
/// Puts this process into a new group `name` below `group`: a group whose controllers are handed down holds no process
/// itself. Errors: as system_error.
Result<> enter_group(const Path& group, const std::string& name);

}  // namespace sprite::agent
