#include "agent/exec.h"
#include "agent/exec_request.h"
#include "channel/frame.h"
#include "wire/exec_frames.h"

namespace sprite::agent {
namespace {

/// Clients of POST exec take one read of the network for one frame. So: a frame is one chunk that fits one read, and
/// the next one leaves only after a pause (3 ms suffice for every client measured); what the program writes meanwhile
/// joins it. The channel passes on whole what is at most `channel::whole_bytes`, which leaves room for the chunk's own
/// size and line ends.
constexpr std::size_t chunk_overhead_bytes = 16;
constexpr std::size_t frame_bytes_max = channel::whole_bytes - chunk_overhead_bytes;
constexpr std::chrono::milliseconds between_frames{5};
constexpr std::chrono::seconds keepalive_after{10};
constexpr std::size_t input_bytes_max = 10 * 1024 * 1024;

Result<ExecRequest> parse_post(const http::Exchange& exchange) {
  for (const char* key : {"tty", "id", "session_id", "detachable", "cc"})
    if (const auto value = exchange.query(key); value && *value != "false")
      return Error{Error::Kind::invalid, "'" + std::string(key) + "' needs an exec over WebSocket", "", {}};
  return parse_exec_request(exchange);
}

asio::awaitable<Result<>> send_frame(http::Exchange& exchange, std::string frame) {
  CO_TRY(co_await exchange.write_chunk(frame));
  co_await pause_for(exchange.executor(), between_frames);
  co_return Result<>{};
}

asio::awaitable<Result<>> send_outputs(http::Exchange& exchange, Attachment& client) {
  CO_TRY(co_await exchange.begin_stream(200, "application/octet-stream"));
  for (;;) {
    const auto output = co_await client.next(keepalive_after);
    if (output && output->kind == Output::Kind::notice) continue;
    if (output && output->kind == Output::Kind::exit) {
      std::string frame = wire::exit_frame(output->status);
      CO_TRY(co_await send_frame(exchange, std::move(frame)));
      co_return co_await exchange.end_stream();
    }
    if (!output) {
      std::string empty = wire::exec_frame(wire::ExecStream::output, "");
      CO_TRY(co_await send_frame(exchange, std::move(empty)));  // it shows whether the client is still there
      continue;
    }
    const auto stream = output->kind == Output::Kind::err ? wire::ExecStream::error : wire::ExecStream::output;
    for (std::string_view rest = output->bytes; !rest.empty();) {
      const std::string_view piece = rest.substr(0, frame_bytes_max - 1);
      rest.remove_prefix(piece.size());
      std::string frame = wire::exec_frame(stream, piece);
      if (rest.empty()) client.gather(frame, output->kind, frame_bytes_max);
      CO_TRY(co_await send_frame(exchange, std::move(frame)));
    }
  }
}

}  // namespace

asio::awaitable<void> serve_exec_post(http::Exchange& exchange, Sessions& sessions) {
  auto request = parse_post(exchange);
  if (!request) {
    co_await exchange.respond_error(request.error());
    co_return;
  }
  std::string input;
  if (request->options.wants_input) {
    auto body = co_await exchange.read_body(input_bytes_max);
    if (!body) {
      co_await exchange.respond_error(body.error());
      co_return;
    }
    input = *std::move(body);
  }
  auto session = co_await sessions.start(std::move(request->options));
  if (!session) {
    co_await exchange.respond_error(session.error());
    co_return;
  }
  const auto client = (*session)->attach(true);
  co_await (*session)->write(std::move(input));
  (*session)->finish_input();
  (void)co_await send_outputs(exchange, *client);
  (*session)->detach(client);
}

}  // namespace sprite::agent
