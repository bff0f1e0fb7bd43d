#pragma once
/// What a disk itself says of the filesystem on it.
#include "store/volume.h"

namespace sprite {

/// crash: an ext4 whose journal is to be replayed, since it is neither unmounted nor frozen. Anything but an ext4 is at
/// rest. Errors: as reading.
Result<store::Consistency> consistency_of(store::Volume& volume);

}  // namespace sprite
