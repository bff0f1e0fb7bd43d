#pragma once
/// A connection: read a head, find the handler, let it answer through the Exchange, again. Beast parses, driven by hand
/// so that the body stays on the wire until a handler asks for it; heads of answers are written by hand, too.
///
/// Answer states: none -> whole | streaming -> ended | gone. `gone` (upgraded, taken) leaves no stream behind. What a
/// handler did not read of a body is discarded if it is small, else the connection closes after the answer. Closing
/// lingers (linger.h).
#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "http/server.h"
#include "http/url.h"

namespace sprite::http {

/// One connection of a Server and the request that it answers at present.
class Connection final : public Exchange {
 public:
  Connection(Stream stream, const Router& router, Guard guard, const Limits& limits)
      : stream_(std::move(stream)),
        executor_(stream_.get_executor()),
        router_(router),
        guard_(std::move(guard)),
        limits_(limits) {}

  /// Serves requests until the connection is over or taken.
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
  using Parser = boost::beast::http::request_parser<boost::beast::http::buffer_body>;
  enum class Answer { none, whole, streaming, ended, gone };

  asio::awaitable<bool> read_head();
  asio::awaitable<bool> read_more();
  asio::awaitable<void> answer();
  asio::awaitable<void> handle();
  asio::awaitable<bool> discard_body();
  asio::awaitable<Result<std::string>> collect_body(std::size_t limit_bytes);
  asio::awaitable<Result<>> write(std::string bytes);
  asio::awaitable<Result<>> agree_to_body();
  std::string start_of_answer(int status, std::string_view content_type);
  std::string take_buffered();
  bool is_head() const { return head().method() == boost::beast::http::verb::head; }
  bool is_old() const { return head().version() < 11; }

  Stream stream_;
  asio::any_io_executor executor_;
  const Router& router_;
  Guard guard_;
  Limits limits_;
  boost::beast::flat_buffer buffer_;

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

/// Serves requests on `stream` until it ends, an answer says close, or a handler takes it.
asio::awaitable<void> serve_connection(Stream stream, const Router& router, Guard guard, Limits limits);

}  // namespace sprite::http
