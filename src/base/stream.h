#pragma once
/// Stream: any byte connection (Unix socket, TCP, channel stream) behind one Asio stream type, so that Beast is
/// instantiated once.
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

namespace sprite {

namespace asio = boost::asio;

/// A byte connection. At most one read and one write under way; callbacks run on the executor, never inside the call.
class Transport {
 public:
  using Callback = std::function<void(boost::system::error_code, std::size_t)>;
  virtual ~Transport() = default;
  virtual asio::any_io_executor executor() = 0;
  virtual void read_some(asio::mutable_buffer into, Callback done) = 0;
  virtual void write_some(asio::const_buffer from, Callback done) = 0;
  /// No more data from us; the peer reads end-of-stream.
  virtual void shutdown_send() = 0;
  /// Ends both directions; operations under way fail with operation_aborted.
  virtual void close() = 0;
};

/// Models Asio's AsyncReadStream and AsyncWriteStream.
class Stream {
 public:
  using executor_type = asio::any_io_executor;

  Stream() = default;
  explicit Stream(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {}

  explicit operator bool() const noexcept { return transport_ != nullptr; }
  executor_type get_executor() { return transport_->executor(); }
  Transport& transport() { return *transport_; }
  void shutdown_send() { transport_->shutdown_send(); }
  void close() { transport_->close(); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [this](auto handler, asio::mutable_buffer into) { transport_->read_some(into, share(std::move(handler))); },
        token, first<asio::mutable_buffer>(buffers));
  }
  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(boost::system::error_code, std::size_t)>(
        [this](auto handler, asio::const_buffer from) { transport_->write_some(from, share(std::move(handler))); },
        token, first<asio::const_buffer>(buffers));
  }

 private:
  /// The first buffer that is not empty.
  template <class Buffer, class Buffers>
  static Buffer first(const Buffers& buffers) {
    for (auto at = asio::buffer_sequence_begin(buffers); at != asio::buffer_sequence_end(buffers); ++at)
      if (Buffer buffer(*at); buffer.size() > 0) return buffer;
    return Buffer{};
  }
  /// A move-only handler as a copyable std::function.
  template <class Handler>
  static Transport::Callback share(Handler handler) {
    auto shared = std::make_shared<Handler>(std::move(handler));
    return [shared](boost::system::error_code failed, std::size_t count) { (*shared)(failed, count); };
  }

  std::unique_ptr<Transport> transport_;
};

}  // namespace sprite
