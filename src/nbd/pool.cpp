#include "nbd/pool.h"

namespace sprite::nbd {

Pool::~Pool() {
  {
    std::lock_guard hold(mutex_);
    hurried_ = ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Pool::post(Task task, std::chrono::milliseconds delay) {
  std::unique_lock hold(mutex_);
  if (idle_ <= tasks_.size() && threads_.size() < threads_max_) start_thread();
  if (threads_.empty()) {
    hold.unlock();
    return task();
  }
  tasks_.emplace(Clock::now() + delay, std::move(task));
  changed_.notify_one();
}

void Pool::start_thread() {
  try {
    threads_.emplace_back([this] { work(); });
    ++idle_;                            // idle from the start, or a burst of tasks would start one thread too many
  } catch (const std::system_error&) {  // the threads that we have must do
  }
}

void Pool::hurry() {
  std::lock_guard hold(mutex_);
  hurried_ = true;
  changed_.notify_all();
}

void Pool::work() {
  std::unique_lock hold(mutex_);
  for (;;) {
    if (tasks_.empty()) {
      if (ending_) return;
      changed_.wait(hold);
    } else if (const auto due = tasks_.begin()->first; !hurried_ && due > Clock::now()) {
      changed_.wait_until(hold, due);
    } else {
      const Task task = std::move(tasks_.extract(tasks_.begin()).mapped());
      --idle_;
      hold.unlock();
      task();
      hold.lock();
      ++idle_;
    }
  }
}

}  // namespace sprite::nbd
