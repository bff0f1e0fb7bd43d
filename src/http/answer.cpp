// Answering: what a handler says through the Exchange, written to the connection.
#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/status.hpp>

#include "http/connection.h"
#include "http/deadline.h"
#include "http/websocket_stream.h"

namespace sprite::http {
namespace {

namespace beast = boost::beast;

/// One line of a head; what would end the line is not let through.
void append_header(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  for (char c : value) head += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  head += "\r\n";
}

}  // namespace

asio::awaitable<Result<>> Connection::write(std::string bytes) {
  Deadline deadline(stream_, limits_.send);
  auto [failed, count] = co_await asio::async_write(stream_, asio::buffer(bytes), asio::as_tuple(asio::use_awaitable));
  if (!failed) co_return Result<>{};
  keep_ = false;
  co_return Error(Error::Kind::unavailable, "the connection was lost");
}

std::string Connection::start_of_answer(int status, std::string_view content_type) {
  const auto reason = beast::http::obsolete_reason(static_cast<beast::http::status>(status));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", status, std::string_view(reason.data(), reason.size()));
  if (!content_type.empty()) append_header(head, "Content-Type", content_type);
  for (const auto& [name, value] : headers_) append_header(head, name, value);
  return head;
}

asio::awaitable<void> Connection::respond(Response response) {
  if (answer_ != Answer::none) die("a request was answered twice");
  answer_ = Answer::whole;
  if (!parser_->is_done() && too_large_) keep_ = false;
  const bool bodiless = response.status == 204 || response.status == 304;
  std::string out = start_of_answer(response.status, bodiless || response.body.empty() ? "" : response.content_type);
  for (const auto& [name, value] : response.headers) append_header(out, name, value);
  if (!bodiless) append_header(out, "Content-Length", std::to_string(response.body.size()));
  if (!keep_) append_header(out, "Connection", "close");
  if (keep_ && is_old()) append_header(out, "Connection", "keep-alive");
  out += "\r\n";
  if (!bodiless && !is_head()) out += response.body;
  (void)co_await write(std::move(out));
}

asio::awaitable<void> Connection::respond_error(const Error& error) {
  Response response = error_response(error);
  if (too_large_) response.status = 413;
  co_await respond(std::move(response));
}

asio::awaitable<Result<>> Connection::begin_stream(int status, std::string content_type) {
  if (answer_ != Answer::none) die("a request was answered twice");
  answer_ = Answer::streaming;
  if (is_old()) keep_ = false;  // no chunks in HTTP/1.0: the end of the connection ends the body
  std::string out = start_of_answer(status, content_type);
  if (!is_old()) append_header(out, "Transfer-Encoding", "chunked");
  if (!keep_) append_header(out, "Connection", "close");
  out += "\r\n";
  co_return co_await write(std::move(out));
}

asio::awaitable<Result<>> Connection::write_chunk(std::string_view bytes) {
  if (answer_ != Answer::streaming) die("a chunk outside of a streamed answer");
  if (is_head()) co_return Error{Error::Kind::unavailable, "the answer to HEAD has no body"};
  if (bytes.empty()) co_return Result<>{};
  if (is_old()) co_return co_await write(std::string(bytes));
  std::string chunk = fmt::format("{:x}\r\n", bytes.size());
  chunk.reserve(chunk.size() + bytes.size() + 2);
  chunk += bytes;
  chunk += "\r\n";
  co_return co_await write(std::move(chunk));
}

asio::awaitable<Result<>> Connection::end_stream() {
  if (answer_ != Answer::streaming) die("the end of no streamed answer");
  answer_ = Answer::ended;
  if (is_head() || is_old()) co_return Result<>{};
  co_return co_await write("0\r\n\r\n");
}

std::string Connection::take_buffered() {
  const auto data = buffer_.data();
  std::string buffered(static_cast<const char*>(data.data()), data.size());
  buffer_.clear();
  return buffered;
}

asio::awaitable<Result<std::unique_ptr<WebSocket>>> Connection::upgrade() {
  if (!wants_upgrade()) co_return Error{Error::Kind::invalid, "this needs a WebSocket"};
  if (answer_ != Answer::none) die("a request was answered twice");
  answer_ = Answer::gone;
  co_return co_await accept_websocket(std::move(stream_), take_buffered(), head(), headers_);
}

TakenConnection Connection::take_connection() {
  if (answer_ != Answer::none) die("a request was answered twice");
  answer_ = Answer::gone;
  return {std::move(stream_), take_buffered()};
}

}  // namespace sprite::http
