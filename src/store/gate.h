#pragma once
/// Gate: many pass at once; whoever closes it waits for those inside and keeps new ones out meanwhile.
#include <pthread.h>

namespace sprite::store {

/// For std::shared_lock (passing) and std::unique_lock (closing). Unlike std::shared_mutex, a stream of those who pass
/// cannot starve the one who closes. Passing twice at once in one thread may deadlock.
class Gate {
 public:
  Gate() {
    pthread_rwlockattr_t attributes;
    ::pthread_rwlockattr_init(&attributes);
    ::pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    ::pthread_rwlock_init(&lock_, &attributes);
    ::pthread_rwlockattr_destroy(&attributes);
  }
  ~Gate() { ::pthread_rwlock_destroy(&lock_); }
  Gate(const Gate&) = delete;

  void lock() { ::pthread_rwlock_wrlock(&lock_); }
  void unlock() { ::pthread_rwlock_unlock(&lock_); }
  void lock_shared() { ::pthread_rwlock_rdlock(&lock_); }
  bool try_lock_shared() { return ::pthread_rwlock_tryrdlock(&lock_) == 0; }
  void unlock_shared() { ::pthread_rwlock_unlock(&lock_); }

 private:
  pthread_rwlock_t lock_;
};

}  // namespace sprite::store
