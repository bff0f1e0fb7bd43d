#pragma once
/// What threads that work behind everybody's back do.
#include <exception>

#include "base/result.h"

namespace sprite::store {

/// From now on others come before this thread at the processors and, as far as the host's disk heeds that, there.
void yield_to_others();

/// What `work()` gives, a Result; what libraries throw becomes an Error, since an exception that leaves a thread ends
/// the process.
template <class Work>
auto caught(Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::exception& thrown) {
    return Error{Error::Kind::internal, "an unexpected failure", "", {thrown.what()}};
  }
}

}  // namespace sprite::store
