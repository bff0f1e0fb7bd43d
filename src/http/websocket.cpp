// WebSocket over Beast's stream. One coroutine at a time writes: the others wait in line. Nothing here has a time-out
// but closing: a peer that reads slowly holds its writers back, which is what bounds our memory.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "http/deadline.h"
#include "http/linger.h"
#include "http/websocket_stream.h"

namespace sprite::http {

namespace beast = boost::beast;
namespace ws = boost::beast::websocket;

namespace {

constexpr std::size_t message_bytes_max = 16 * MiB;
constexpr std::size_t gather_bytes = 64 * KiB + 64;  // a frame of our usual size and its head in one write

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

/// A Stream that first reads what was read already, and writes several small buffers as one: Beast hands a frame's head
/// and payload over apart, which would be two packets.
class FrameStream {
 public:
  using executor_type = Stream::executor_type;

  FrameStream(Stream stream, std::string leading) : stream_(std::move(stream)), leading_(std::move(leading)) {}
  executor_type get_executor() { return stream_.get_executor(); }
  Stream& stream() { return stream_; }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return asio::async_initiate<Token, void(beast::error_code, std::size_t)>(
        [this](auto handler, Buffers into) {
          if (leading_.empty()) {
            stream_.async_read_some(into, std::move(handler));
            return;
          }
          const std::size_t count = asio::buffer_copy(into, asio::buffer(leading_));
          leading_.erase(0, count);
          asio::post(get_executor(), [handler = std::move(handler), count]() mutable {
            std::move(handler)(beast::error_code{}, count);
          });
        },
        token, buffers);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    const bool several = std::distance(asio::buffer_sequence_begin(buffers), asio::buffer_sequence_end(buffers)) > 1;
    if (!several)
      return stream_.async_write_some(asio::const_buffer(*asio::buffer_sequence_begin(buffers)),
                                      std::forward<Token>(token));
    gathered_.resize(std::min(asio::buffer_size(buffers), gather_bytes));
    asio::buffer_copy(asio::buffer(gathered_), buffers);
    return stream_.async_write_some(asio::const_buffer(asio::buffer(gathered_)), std::forward<Token>(token));
  }

 private:
  Stream stream_;
  std::string leading_;
  std::string gathered_;
};

/// Found by Beast once the closing handshake is done; linger() does the rest.
template <class Handler>
void async_teardown(beast::role_type, FrameStream& stream, Handler&& handler) {
  stream.stream().shutdown_send();
  asio::post(stream.get_executor(), beast::bind_front_handler(std::forward<Handler>(handler), beast::error_code{}));
}

/// Found by Beast when it gives a connection up.
void beast_close_socket(FrameStream& stream) { stream.stream().close(); }

Error lost() { return Error{Error::Kind::unavailable, "the WebSocket connection was lost"}; }

/// What the operations under way share with the WebSocket, so that it can be destroyed any time.
struct Core {
  Core(Stream stream, std::string leading)
      : socket(FrameStream(std::move(stream), std::move(leading))), turn(socket.get_executor()) {
    turn.expires_at(asio::steady_timer::time_point::max());
    socket.read_message_max(message_bytes_max);
    socket.write_buffer_bytes(64 * KiB);
    socket.auto_fragment(false);
  }

  Stream& stream() { return socket.next_layer().stream(); }

  ws::stream<FrameStream, false> socket;  // false: without compression
  beast::flat_buffer incoming;
  asio::steady_timer turn;  ///< Cancelled at the end of each turn to write.
  std::uint64_t next_ticket = 0, now_writing = 0;
  bool closing = false;      ///< We sent, or are about to send, a close frame.
  bool peer_closed = false;  ///< The closing handshake is done.
  unsigned short close_code = ws::close_code::abnormal;
};

/// The stream, for as long as somebody wants it.
std::shared_ptr<Stream> stream_of(const std::shared_ptr<Core>& core) { return {core, &core->stream()}; }

asio::awaitable<Result<std::optional<Message>>> read_message(std::shared_ptr<Core> core) {
  core->incoming.clear();
  if (core->incoming.capacity() > MiB) core->incoming.shrink_to_fit();
  auto [failed, count] = co_await core->socket.async_read(core->incoming, as_result);
  if (failed == ws::error::closed) {
    core->peer_closed = true;
    core->close_code = core->socket.reason().code == ws::close_code::none ? 1005 : core->socket.reason().code;
    co_return std::optional<Message>{};
  }
  if (failed) co_return lost();
  const auto data = core->incoming.data();
  Message message{core->socket.got_text(), std::string(static_cast<const char*>(data.data()), data.size())};
  co_return std::optional<Message>(std::move(message));
}

/// Returns when every earlier caller has ended its turn.
asio::awaitable<void> take_turn(Core& core) {
  const std::uint64_t ticket = core.next_ticket++;
  while (core.now_writing != ticket) {
    (void)co_await core.turn.async_wait(as_result);
  }
}

void end_turn(Core& core) {
  ++core.now_writing;
  core.turn.cancel();
}

asio::awaitable<Result<>> send_message(std::shared_ptr<Core> core, std::string bytes, bool text) {
  if (core->closing) co_return lost();
  co_await take_turn(*core);
  core->socket.text(text);
  auto [failed, count] = co_await core->socket.async_write(asio::buffer(bytes), as_result);
  end_turn(*core);
  if (failed) co_return lost();
  co_return Result<>{};
}

/// The closing handshake from our side. The peer's answer to it says that it has read everything.
asio::awaitable<void> finish(std::shared_ptr<Core> core, unsigned short code) {
  // Long: a peer behind a pager reads late, and one that is gone fails at once.
  Deadline deadline(core->stream(), std::chrono::hours(1));
  (void)co_await core->socket.async_close(ws::close_reason(code), as_result);
  core->stream().close();
}

class BeastWebSocket final : public WebSocket {
 public:
  explicit BeastWebSocket(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~BeastWebSocket() override {
    if (core_->closing) return;
    if (core_->peer_closed) {
      asio::co_spawn(core_->socket.get_executor(), linger(stream_of(core_)), asio::detached);
    } else {
      core_->stream().close();
    }
  }

  asio::awaitable<Result<std::optional<Message>>> read() override { return read_message(core_); }
  asio::awaitable<Result<>> send_text(std::string text) override { return send_message(core_, std::move(text), true); }
  asio::awaitable<Result<>> send_binary(std::string bytes) override {
    return send_message(core_, std::move(bytes), false);
  }
  asio::awaitable<void> close(unsigned short code) override {
    if (std::exchange(core_->closing, true)) co_return;
    const auto core = core_;
    co_await take_turn(*core);
    asio::co_spawn(core->socket.get_executor(), finish(core, code), asio::detached);
    end_turn(*core);
  }
  unsigned short close_code() const override { return core_->close_code; }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace

asio::awaitable<Result<std::unique_ptr<WebSocket>>> accept_websocket(Stream stream, std::string buffered,
                                                                     const RequestHead& head, Headers headers) {
  const auto core = std::make_shared<Core>(std::move(stream), std::move(buffered));
  core->socket.set_option(ws::stream_base::decorator([headers](ws::response_type& response) {
    for (const auto& [name, value] : headers) response.insert(name, value);
  }));
  const beast::http::request<beast::http::empty_body> request{head};
  auto [failed] = co_await core->socket.async_accept(request, as_result);
  if (!failed) co_return std::unique_ptr<WebSocket>(std::make_unique<BeastWebSocket>(core));
  asio::co_spawn(core->socket.get_executor(), linger(stream_of(core)), asio::detached);  // Beast has answered
  co_return Error{Error::Kind::invalid, "this is not a proper WebSocket upgrade", "", {failed.message()}};
}

asio::awaitable<Result<std::unique_ptr<WebSocket>>> open_websocket(Stream stream, const Request& request) {
  const auto core = std::make_shared<Core>(std::move(stream), std::string());
  const Headers headers = request.headers;
  const std::string target = request.target;
  core->socket.set_option(ws::stream_base::decorator([headers](ws::request_type& upgrade) {
    for (const auto& [name, value] : headers) upgrade.set(name, value);
  }));
  ws::response_type answer;
  auto [failed] = co_await core->socket.async_handshake(answer, "localhost", target, as_result);
  if (!failed) co_return std::unique_ptr<WebSocket>(std::make_unique<BeastWebSocket>(core));
  if (failed != ws::error::upgrade_declined) co_return lost();
  const auto type = answer[beast::http::field::content_type];
  co_return error_from(
      Response{static_cast<int>(answer.result_int()), std::string(type.data(), type.size()), answer.body()});
}

}  // namespace sprite::http
