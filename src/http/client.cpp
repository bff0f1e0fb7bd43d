// The client's side of a request: written whole, its answer read by Beast's parser, driven by hand.
#include "http/client.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/json/parse.hpp>

#include "base/text.h"

namespace sprite::http {
namespace {

namespace beast = boost::beast;

constexpr std::size_t head_bytes_max = 64 * KiB;
constexpr std::size_t read_bytes = 64 * KiB;
constexpr std::size_t chunk_bytes_max = MiB;  ///< A larger chunk is handed over in parts.

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

Error lost(std::string why) { return Error{Error::Kind::unavailable, "the connection was lost", "", {std::move(why)}}; }

std::string to_wire(const Request& request) {
  std::string wire = fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n", request.method, request.target);
  for (const auto& [name, value] : request.headers) wire += fmt::format("{}: {}\r\n", name, value);
  if (!request.body.empty()) wire += fmt::format("Content-Type: {}\r\n", request.content_type);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT")
    wire += fmt::format("Content-Length: {}\r\n", request.body.size());
  return wire + "\r\n" + request.body;
}

/// Reads one answer. `on_part` gets the body, one call a chunk where it is chunked, else as it arrives.
class AnswerReader {
 public:
  using OnPart = std::function<void(std::string_view)>;

  AnswerReader(Stream& stream, bool bodiless, OnPart on_part)
      : stream_(stream), bodiless_(bodiless), on_part_(std::move(on_part)) {
    start();
  }

  asio::awaitable<Result<Response>> run() {
    for (;;) {
      beast::error_code failed;
      if (buffer_.size() > 0) buffer_.consume(parser_->put(buffer_.data(), failed));
      if (failed == beast::http::error::need_buffer || failed == beast::http::error::need_more) failed = {};
      if (failed) co_return lost("the answer is not proper HTTP: " + failed.message());
      take_part();
      if (parser_->is_done() && !is_interim()) co_return response();
      if (parser_->is_done()) {
        start();
        continue;
      }
      if (progressed()) continue;
      if (buffer_.size() > head_bytes_max) co_return lost("the answer has a line that does not end");
      auto [ended, count] = co_await stream_.async_read_some(buffer_.prepare(read_bytes), as_result);
      if (ended == asio::error::eof) {
        co_return at_end();
      }
      if (ended) co_return lost(ended.message());
      buffer_.commit(count);
      left_ = 0;
    }
  }

 private:
  using Parser = beast::http::response_parser<beast::http::buffer_body>;

  void start() {
    parser_.emplace();
    parser_->header_limit(head_bytes_max);
    parser_->body_limit(boost::none);
    parser_->skip(bodiless_);
    on_chunk_ = [this](std::uint64_t remaining, beast::string_view bytes, beast::error_code&) {
      chunk_.append(bytes.data(), bytes.size());
      if (bytes.size() == remaining || chunk_.size() >= chunk_bytes_max) hand_over(chunk_);
      return bytes.size();
    };
    parser_->on_chunk_body(on_chunk_);
    body_.resize(read_bytes);
    reset_body();
    left_ = 0;
  }
  bool is_interim() const { return parser_->get().result_int() < 200 && parser_->get().result_int() != 101; }
  void reset_body() {
    parser_->get().body().data = body_.data();
    parser_->get().body().size = body_.size();
    parser_->get().body().more = true;
  }
  void hand_over(std::string& bytes) {
    if (!bytes.empty()) on_part_(bytes);
    bytes.clear();
  }
  void take_part() {
    const std::size_t got = body_.size() - parser_->get().body().size;
    if (got > 0) on_part_(std::string_view(body_.data(), got));
    reset_body();
  }
  /// Whether another put() may find something in what is left in the buffer.
  bool progressed() { return buffer_.size() > 0 && std::exchange(left_, buffer_.size()) != buffer_.size(); }

  /// The connection ended: fine for an answer whose end that is.
  Result<Response> at_end() {
    if (!parser_->is_header_done()) return lost("it ended before the answer");
    beast::error_code failed;
    parser_->put_eof(failed);
    if (failed) return lost("it ended in the middle of the answer");
    return response();
  }
  Response response() const {
    Response answer{static_cast<int>(parser_->get().result_int()), {}, {}, {}};
    for (const auto& field : parser_->get().base())
      answer.headers.emplace_back(std::string(field.name_string()), std::string(field.value()));
    answer.content_type = std::string(parser_->get()[beast::http::field::content_type]);
    return answer;
  }

  Stream& stream_;
  bool bodiless_;
  OnPart on_part_;
  beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::function<std::size_t(std::uint64_t, beast::string_view, beast::error_code&)> on_chunk_;
  std::string body_;      ///< Where the parser puts a body that is not chunked.
  std::string chunk_;     ///< The present chunk so far.
  std::size_t left_ = 0;  ///< The buffer's size when it was last parsed.
};

}  // namespace

asio::awaitable<Result<Response>> fetch_streaming(Stream& stream, const Request& request,
                                                  std::function<void(std::string_view)> on_part) {
  const std::string wire = to_wire(request);
  AnswerReader reader(stream, request.method == "HEAD", std::move(on_part));
  auto [failed, count] = co_await asio::async_write(stream, asio::buffer(wire), as_result);
  // A server that refuses a body may answer and stop reading: look for the answer all the same.
  auto answer = co_await reader.run();
  if (failed && !answer) co_return lost(failed.message());
  co_return answer;
}

asio::awaitable<Result<Response>> fetch(Stream& stream, const Request& request, std::size_t body_bytes_max) {
  std::string body;
  bool too_large = false;
  auto collect = [&](std::string_view part) {
    too_large = too_large || body.size() + part.size() > body_bytes_max;
    if (too_large) {
      stream.close();  // else we would read on for nothing
    } else {
      body += part;
    }
  };
  auto answer = co_await fetch_streaming(stream, request, collect);
  if (too_large) co_return lost("the answer is larger than " + format_size(body_bytes_max));
  if (answer) answer->body = std::move(body);
  co_return answer;
}

Error error_from(const Response& response) {
  Error error{kind_from_http_status(response.status), response.body, "", {}};
  if (error.what.empty()) error.what = fmt::format("the server answered with status {}", response.status);
  boost::system::error_code malformed;
  const auto parsed = boost::json::parse(response.body, malformed);
  if (malformed || !parsed.is_object()) return error;
  const auto text = [&](const char* key) {
    const auto* value = parsed.as_object().if_contains(key);
    return value && value->is_string() ? std::string(value->as_string()) : std::string();
  };
  for (const char* key : {"error", "kind"})
    if (const std::string name = text(key); to_string(kind_from_string(name)) == name)
      error.kind = kind_from_string(name);
  if (const std::string message = text("message"); !message.empty()) {
    error.what = message;
  } else if (const std::string code = text("error"); !code.empty()) {
    error.what = code;
  }
  error.hint = text("hint");
  if (const auto* because = parsed.as_object().if_contains("because"); because && because->is_array())
    for (const auto& cause : because->as_array())
      if (cause.is_string()) error.because.emplace_back(cause.as_string());
  return error;
}

}  // namespace sprite::http
