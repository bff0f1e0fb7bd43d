#pragma once
/// Pool: a few threads for work that waits, started when first needed.
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace sprite::nbd {

/// Runs tasks on at most `threads_max` threads. Once stopping, tasks are still all run, at once and whatever their
/// time.
class Pool {
 public:
  using Clock = std::chrono::steady_clock;
  using Task = std::function<void()>;

  explicit Pool(std::size_t threads_max) : threads_max_(threads_max) {}
  ~Pool();
  Pool(const Pool&) = delete;

  /// Runs `task` as soon as a thread is free, but not before `delay` has passed.
  void post(Task task, std::chrono::milliseconds delay = {});
  /// Makes every task due, now and in future.
  void hurry();

 private:
  void start_thread();
  void work();

  const std::size_t threads_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<Clock::time_point, Task> tasks_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool hurried_ = false, ending_ = false;
};

}  // namespace sprite::nbd
