// Reading: heads, bodies, and the loop over a connection's requests.
#include "http/connection.h"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include "base/log.h"
#include "base/text.h"
#include "http/deadline.h"
#include "http/linger.h"

namespace sprite::http {
namespace {

namespace beast = boost::beast;

constexpr std::size_t read_bytes = 64 * KiB;
constexpr std::size_t discard_bytes_max = 256 * KiB;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

Error lost() { return Error{Error::Kind::unavailable, "the connection was lost"}; }

}  // namespace

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
  parser_->header_limit(static_cast<std::uint32_t>(limits_.head_bytes));
  parser_->body_limit(boost::none);
  parser_->eager(false);
  keep_ = false;
  if (buffer_.size() == 0) {
    Deadline deadline(stream_, limits_.idle);
    const bool more = co_await read_more();
    if (!more) co_return false;
  }
  Deadline deadline(stream_, limits_.head);
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
  co_await linger(std::make_shared<Stream>(std::move(stream_)), limits_.linger);
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
    if (buffer_.size() > limits_.head_bytes)  // the line that begins a chunk, or what follows the last one
      co_return Error{Error::Kind::invalid, "the request's body is malformed", "", {"a line does not end"}};
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
  Deadline deadline(stream_, limits_.body);
  co_return co_await collect_body(std::min(limit_bytes, limits_.body_bytes));
}

asio::awaitable<Result<std::string>> Connection::collect_body(std::size_t limit_bytes) {
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

asio::awaitable<void> serve_connection(Stream stream, const Router& router, Guard guard, Limits limits) {
  Connection connection(std::move(stream), router, std::move(guard), limits);
  co_await connection.run();
}

}  // namespace sprite::http
