#include "store/background.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sprite::store {

void yield_to_others() {
  constexpr int niceness = 10, best_effort_last = 2 << 13 | 7, this_thread = 1;
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), niceness);
  (void)::syscall(SYS_ioprio_set, this_thread, 0, best_effort_last);
}

}  // namespace sprite::store
