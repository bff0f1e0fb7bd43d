#pragma once
/// Keeper: a thread that does the same thing again and again.
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace sprite::vm {

/// Runs `work` again and again on a thread of its own, from construction to destruction.
class Keeper {
 public:
  Keeper(std::chrono::milliseconds pause, std::function<void()> work)
      : thread_([this, pause, work = std::move(work)] {
          std::unique_lock hold(mutex_);
          while (!stop_) {
            wake_.wait_for(hold, pause);
            if (stop_) return;
            hold.unlock();
            work();
            hold.lock();
          }
        }) {}
  ~Keeper() {
    {
      std::lock_guard hold(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  Keeper(Keeper&&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sprite::vm
