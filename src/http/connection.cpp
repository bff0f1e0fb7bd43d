// A connection: read a head, find the handler, let it answer through the Exchange, again. Beast parses, driven by hand
// so that the body stays on the wire until a handler asks for it; heads of answers are written here.
//
// Answer states: none -> whole | streaming -> ended | gone. `gone` (upgraded, taken) leaves no stream behind. What a
// handler did not read of a body is discarded if it is small, else the connection closes after the answer. Closing
// lingers (linger.h).
#include "http/connection.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>

#include "base/log.h"
#include "base/text.h"
#include "http/deadline.h"
#include "http/linger.h"
#include "http/url.h"
#include "http/websocket_stream.h"

namespace sprite::http {
namespace {

namespace beast = boost::beast;

constexpr std::size_t head_bytes_max = 64 * KiB;
constexpr std::size_t read_bytes = 64 * KiB;
constexpr std::size_t discard_bytes_max = 256 * KiB;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

Error lost() { return Error{Error::Kind::unavailable, "the connection was lost"}; }

/// One line of a head; what would end the line is not let through.
void append_header(std::string& head, std::string_view name, std::string_view value) {
  head += name;
  head += ": ";
  for (char c : value) head += c == '\r' || c == '\n' || c == '\0' ? ' ' : c;
  head += "\r\n";
}

class Connection final : public Exchange {
 public:
  Connection(Stream stream, const Router& router, Guard guard, Patience patience)
      : stream_(std::move(stream)),
        executor_(stream_.get_executor()),
        router_(router),
        guard_(std::move(guard)),
        patience_(patience) {}

  asio::awaitable<void> run();

  const RequestHead& head() const override { return parser_->get(); }
  std::string_view path() const override { return path_; }
  std::string parameter(const std::string& name) const override;
  std::optional<std::string> query(const std::string& key) const override;
  std::vector<std::string> query_all(const std::string& key) const override;
  bool wants_upgrade() const override;
  asio::any_io_executor executor() override { return executor_; }
  asio::awaitable<Result<std::string>> read_body(std::size_t limit_bytes) override;
  asio::awaitable<Result<std::string>> read_body_some() override;
  asio::awaitable<void> respond(Response response) override;
  asio::awaitable<void> respond_error(const Error& error) override;
  asio::awaitable<Result<>> begin_stream(int status, std::string content_type) override;
  asio::awaitable<Result<>> write_chunk(std::string_view bytes) override;
  asio::awaitable<Result<>> end_stream() override;
  void set_header(std::string name, std::string value) override {
    headers_.emplace_back(std::move(name), std::move(value));
  }
  asio::awaitable<Result<std::unique_ptr<WebSocket>>> upgrade() override;
  TakenConnection take_connection() override;

 private:
  using Parser = beast::http::request_parser<beast::http::buffer_body>;
  enum class Answer { none, whole, streaming, ended, gone };

  asio::awaitable<bool> read_head();
  asio::awaitable<bool> read_more();
  asio::awaitable<void> answer();
  asio::awaitable<void> handle();
  asio::awaitable<bool> discard_body();
  asio::awaitable<Result<>> write(std::string bytes);
  asio::awaitable<Result<>> agree_to_body();
  std::string start_of_answer(int status, std::string_view content_type);
  std::string take_buffered();
  bool is_head() const { return head().method() == beast::http::verb::head; }
  bool is_old() const { return head().version() < 11; }

  Stream stream_;
  asio::any_io_executor executor_;
  const Router& router_;
  Guard guard_;
  Patience patience_;
  beast::flat_buffer buffer_;

  // Of the present request.
  std::optional<Parser> parser_;
  std::string path_;
  Target target_;
  std::map<std::string, std::string> parameters_;
  Headers headers_;
  Answer answer_ = Answer::none;
  bool agreed_ = false;     ///< "100 Continue" was sent.
  bool too_large_ = false;  ///< The body passed the handler's limit.
  bool keep_ = false;       ///< The connection may serve another request.
};

/// More of the connection's bytes in buffer_. False: end or failure.
asio::awaitable<bool> Connection::read_more() {
  auto [failed, count] = co_await stream_.async_read_some(buffer_.prepare(read_bytes), as_result);
  if (failed) co_return false;
  buffer_.commit(count);
  co_return true;
}

/// True: a head was read. False: the connection is over, or what came was refused and answered.
asio::awaitable<bool> Connection::read_head() {
  parser_.emplace();
  parser_->header_limit(head_bytes_max);
  parser_->body_limit(boost::none);
  parser_->eager(false);
  keep_ = false;
  if (buffer_.size() == 0) {
    Deadline deadline(stream_, patience_.idle);
    const bool more = co_await read_more();
    if (!more) co_return false;
  }
  Deadline deadline(stream_, patience_.head);
  beast::error_code failed;
  while (!parser_->is_header_done()) {
    buffer_.consume(parser_->put(buffer_.data(), failed));
    if (failed && failed != beast::http::error::need_more) break;
    if (parser_->is_header_done()) break;
    const bool more = co_await read_more();
    if (!more) co_return false;
  }
  if (!failed || failed == beast::http::error::need_more) co_return true;
  const int status = failed == beast::http::error::header_limit ? 431 : 400;
  Response refusal =
      error_response(Error{Error::Kind::invalid, "this is not a proper HTTP request", "", {failed.message()}});
  refusal.status = status;
  answer_ = Answer::none;
  headers_.clear();
  co_await respond(std::move(refusal));
  co_return false;
}

asio::awaitable<void> Connection::run() {
  for (;;) {
    const bool readable = co_await read_head();
    if (!readable) break;
    co_await answer();
    if (answer_ == Answer::gone) co_return;
    if (!keep_) break;
    const bool clean = co_await discard_body();
    if (!clean) break;
  }
  co_await linger(std::make_shared<Stream>(std::move(stream_)));
}

asio::awaitable<void> Connection::answer() {
  target_ = parse_target(std::string_view(head().target().data(), head().target().size()));
  path_ = url_decode(target_.path);
  parameters_.clear();
  headers_.clear();
  answer_ = Answer::none;
  agreed_ = too_large_ = false;
  keep_ = parser_->keep_alive();
  std::string problem;
  try {
    co_await handle();
  } catch (const std::exception& thrown) {
    problem = thrown.what();
  }
  if (answer_ == Answer::none) {
    if (problem.empty()) problem = "the handler gave no answer";
    log::error("{} {}: {}", std::string_view(head().method_string().data(), head().method_string().size()), path_,
               problem);
    const Error failed{Error::Kind::internal, "the request could not be answered", "", {problem}};
    co_await respond_error(failed);
  } else if (answer_ == Answer::streaming) {
    keep_ = false;  // given up halfway: the missing last chunk tells the client
  }
}

asio::awaitable<void> Connection::handle() {
  if (guard_) {
    if (auto refusal = guard_(head())) {
      co_await respond(std::move(*refusal));
      co_return;
    }
  }
  const auto method = head().method_string();
  Router::Match match = router_.find(std::string_view(method.data(), method.size()), target_.path);
  parameters_ = std::move(match.parameters);
  if (match.handler) {
    co_await (*match.handler)(*this);
    co_return;
  }
  if (match.method_known) {
    const Error unknown{Error::Kind::not_found, fmt::format("nothing is at '{}'", path_)};
    co_await respond_error(unknown);
    co_return;
  }
  Response refusal = error_response(Error{Error::Kind::invalid, fmt::format("'{}' does not take this method", path_)});
  refusal.status = 405;
  refusal.headers.emplace_back("Allow", join(match.allowed, ", "));
  co_await respond(std::move(refusal));
}

/// Leaves the next request at the front of the buffer. False: better close.
asio::awaitable<bool> Connection::discard_body() {
  if (parser_->is_done()) co_return true;
  const bool unasked = beast::iequals(head()[beast::http::field::expect], "100-continue") && !agreed_;
  if (unasked) co_return false;  // the client may or may not send it
  std::size_t discarded = 0;
  while (discarded <= discard_bytes_max) {
    auto part = co_await read_body_some();
    if (!part) co_return false;
    if (part->empty()) co_return true;
    discarded += part->size();
  }
  co_return false;
}

std::string Connection::parameter(const std::string& name) const {
  const auto found = parameters_.find(name);
  return found == parameters_.end() ? std::string() : found->second;
}

std::optional<std::string> Connection::query(const std::string& key) const {
  std::optional<std::string> last;
  for (const auto& [name, value] : target_.query)
    if (name == key) last = value;
  return last;
}

std::vector<std::string> Connection::query_all(const std::string& key) const {
  std::vector<std::string> values;
  for (const auto& [name, value] : target_.query)
    if (name == key) values.push_back(value);
  return values;
}

bool Connection::wants_upgrade() const {
  return beast::http::token_list(head()[beast::http::field::connection]).exists("upgrade") &&
         beast::http::token_list(head()[beast::http::field::upgrade]).exists("websocket");
}

/// Sends "100 Continue" if the client waits for it.
asio::awaitable<Result<>> Connection::agree_to_body() {
  if (agreed_) co_return Result<>{};
  agreed_ = true;
  if (is_old() || !beast::iequals(head()[beast::http::field::expect], "100-continue")) co_return Result<>{};
  co_return co_await write("HTTP/1.1 100 Continue\r\n\r\n");
}

asio::awaitable<Result<std::string>> Connection::read_body_some() {
  if (parser_->is_done()) co_return std::string();
  const Result<> agreed = co_await agree_to_body();
  if (!agreed) co_return agreed.error();
  std::string part(read_bytes, '\0');
  auto& body = parser_->get().body();
  body.data = part.data();
  body.size = part.size();
  while (!parser_->is_done()) {
    beast::error_code failed;
    if (buffer_.size() > 0) buffer_.consume(parser_->put(buffer_.data(), failed));
    if (failed && failed != beast::http::error::need_more && failed != beast::http::error::need_buffer)
      co_return Error{Error::Kind::invalid, "the request's body is malformed", "", {failed.message()}};
    if (body.size < part.size()) break;
    if (failed != beast::http::error::need_more && buffer_.size() > 0) continue;
    if (parser_->is_done()) break;
    const bool more = co_await read_more();
    if (!more) {
      keep_ = false;
      co_return lost();
    }
  }
  part.resize(part.size() - body.size);
  co_return part;
}

asio::awaitable<Result<std::string>> Connection::read_body(std::size_t limit_bytes) {
  std::string whole;
  const Error too_large{Error::Kind::invalid, fmt::format("the body is larger than {}", format_size(limit_bytes))};
  if (parser_->content_length() && *parser_->content_length() > limit_bytes) {
    too_large_ = true;
    co_return too_large;
  }
  for (;;) {
    auto part = co_await read_body_some();
    if (!part) co_return part;
    if (part->empty()) co_return whole;
    if (whole.size() + part->size() > limit_bytes) {
      too_large_ = true;
      co_return too_large;
    }
    whole += *part;
  }
}

asio::awaitable<Result<>> Connection::write(std::string bytes) {
  auto [failed, count] = co_await asio::async_write(stream_, asio::buffer(bytes), as_result);
  if (!failed) co_return Result<>{};
  keep_ = false;
  co_return lost();
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

}  // namespace

asio::awaitable<void> serve_connection(Stream stream, const Router& router, Guard guard, Patience patience) {
  Connection connection(std::move(stream), router, std::move(guard), patience);
  co_await connection.run();
}

}  // namespace sprite::http
