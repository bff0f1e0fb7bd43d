#pragma once
/// Every sprite that has a machine goes to the disk, as when the host is about to go down.
#include "sprite/sprites.h"

namespace sprite {

/// Returns when memory is on the disk, or could not be put there, which is logged; open connections stand still. There
/// may not be time for all of it: first all stand still, which writes what they have not written yet, then their memory
/// is copied, of few at a time, so that some are whole before all have begun. Who is not ready when the power goes has
/// lost its programs, and nothing of its disk.
asio::awaitable<void> put_all_on_disk(Sprites& sprites);

}  // namespace sprite
