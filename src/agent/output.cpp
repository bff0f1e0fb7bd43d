#include "agent/output.h"

#include <utility>

namespace sprite::agent {
namespace {

/// What an output costs in memory: many small ones weigh more than their bytes.
std::size_t weight(const Output& output) { return output.bytes.size() + 128; }

}  // namespace

Attachment::Attachment(asio::any_io_executor executor, std::function<void()> taken)
    : arrived_(std::move(executor)), taken_(std::move(taken)) {}

void Attachment::push(SharedOutput output) {
  if (closed_) return;
  bytes_ += weight(*output);
  queue_.push_back(std::move(output));
  arrived_.cancel();
}

SharedOutput Attachment::take() {
  if (queue_.empty() || closed_) return nullptr;
  SharedOutput output = std::move(queue_.front());
  queue_.pop_front();
  bytes_ -= weight(*output);
  last_taken_ = std::chrono::steady_clock::now();
  taken_();
  return output;
}

asio::awaitable<SharedOutput> Attachment::next(std::chrono::milliseconds silence) {
  const auto deadline = std::chrono::steady_clock::now() + silence;
  while (queue_.empty() && !closed_ && std::chrono::steady_clock::now() < deadline) {
    arrived_.expires_at(deadline);
    (void)co_await arrived_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  co_return take();
}

void Attachment::gather(std::string& bytes, Output::Kind kind, std::size_t limit) {
  while (!queue_.empty() && queue_.front()->kind == kind && bytes.size() + queue_.front()->bytes.size() <= limit)
    bytes += take()->bytes;
}

void Attachment::close() {
  closed_ = true;
  queue_.clear();
  bytes_ = 0;
  arrived_.cancel();
  taken_();
}

void Scrollback::add(SharedOutput output) {
  bytes_ += weight(*output);
  kept_.push_back(std::move(output));
  while (bytes_ > bytes_max) {
    bytes_ -= weight(*kept_.front());
    kept_.pop_front();
  }
}

}  // namespace sprite::agent
