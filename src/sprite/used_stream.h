#pragma once
/// A stream into a sprite that counts as use of it for as long as it lives.
#include <functional>
#include <memory>

#include "base/stream.h"

namespace sprite {

class UsedTransport final : public Transport {
 public:
  /// `in_use` goes with this; `written` is called before bytes go into the sprite, which may have to wake for them.
  UsedTransport(Stream inner, std::shared_ptr<void> in_use, std::function<void()> written)
      : inner_(std::move(inner)), in_use_(std::move(in_use)), written_(std::move(written)) {}

  asio::any_io_executor executor() override { return inner_.get_executor(); }
  void read_some(asio::mutable_buffer into, Callback done) override {
    inner_.transport().read_some(into, std::move(done));
  }
  void write_some(asio::const_buffer from, Callback done) override {
    written_();
    inner_.transport().write_some(from, std::move(done));
  }
  void shutdown_send() override { inner_.shutdown_send(); }
  void close() override { inner_.close(); }

 private:
  Stream inner_;
  std::shared_ptr<void> in_use_;
  std::function<void()> written_;
};

}  // namespace sprite
