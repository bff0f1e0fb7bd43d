#pragma once
/// What threads that work behind everybody's back do.

namespace sprite::store {

/// From now on others come before this thread at the processors and, as far as the host's disk heeds that, there.
void yield_to_others();

}  // namespace sprite::store
