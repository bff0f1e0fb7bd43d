#pragma once
/// A small HTTP/1.1 server: a router of coroutine handlers over any Stream. The daemon and the agent both use it.
#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/result.h"
#include "base/stream.h"
#include "http/deadline.h"
#include "http/websocket.h"

namespace sprite::http {

/// Method, target and headers of a request; the body is still on the wire.
using RequestHead = boost::beast::http::request_header<boost::beast::http::fields>;

using Headers = std::vector<std::pair<std::string, std::string>>;

/// A whole answer. (It and its like have constructors because GCC 12 destroys an aggregate's temporary twice in a full
/// expression with co_await.)
struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
  Headers headers{};

  Response() = default;
  Response(int status_, std::string content_type_, std::string body_, Headers headers_ = {})
      : status(status_), content_type(std::move(content_type_)), body(std::move(body_)), headers(std::move(headers_)) {}
};

/// Where the bytes of a request's connection go once a handler has taken it: `buffered` was read already.
struct TakenConnection {
  Stream stream;
  std::string buffered;
};

/// One request being answered. A handler answers once: respond(), respond_error(), begin_stream() + write_chunk()…,
/// upgrade() or take_connection(). A handler that returns without an answer is answered for with 500.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const RequestHead& head() const = 0;
  virtual std::string_view path() const = 0;                                     ///< Decoded, without the query.
  virtual std::string parameter(const std::string& name) const = 0;              ///< The route's {name}, decoded.
  virtual std::optional<std::string> query(const std::string& key) const = 0;    ///< The last value of `key`, decoded.
  virtual std::vector<std::string> query_all(const std::string& key) const = 0;  ///< Every value in order.
  virtual bool wants_upgrade() const = 0;
  virtual asio::any_io_executor executor() = 0;

  /// The whole body. Errors: invalid (larger than `limit_bytes`), unavailable (connection lost).
  virtual asio::awaitable<Result<std::string>> read_body(std::size_t limit_bytes) = 0;
  /// The next part of the body, empty at its end. Errors: unavailable.
  virtual asio::awaitable<Result<std::string>> read_body_some() = 0;

  virtual asio::awaitable<void> respond(Response response) = 0;
  /// As error_response(); 413 if read_body() found the body too large.
  virtual asio::awaitable<void> respond_error(const Error& error) = 0;
  /// Starts a chunked answer; then each write_chunk() is exactly one HTTP chunk, sent at once. Errors: unavailable.
  virtual asio::awaitable<Result<>> begin_stream(int status, std::string content_type) = 0;
  virtual asio::awaitable<Result<>> write_chunk(std::string_view bytes) = 0;
  virtual asio::awaitable<Result<>> end_stream() = 0;
  /// Adds a header to whatever answer follows, the 101 of an upgrade included.
  virtual void set_header(std::string name, std::string value) = 0;

  /// Accepts the WebSocket upgrade. Errors: invalid (not an upgrade), unavailable.
  virtual asio::awaitable<Result<std::unique_ptr<WebSocket>>> upgrade() = 0;
  /// Takes the connection out of HTTP, the head already consumed.
  virtual TakenConnection take_connection() = 0;
};

using Handler = std::function<asio::awaitable<void>(Exchange&)>;

/// Routes like {"GET", "/v1/sprites/{name}/exec", handler}. "{rest...}" as the last segment matches any tail.
/// "*" as the method matches any. The first route that matches wins; a path known with other methods answers 405.
/// HEAD without a route of its own is answered by GET's, less the body.
class Router {
 public:
  Router& add(std::string method, std::string pattern, Handler handler);
  /// The handler for a request and the values of its {parameters}; nothing if no pattern fits.
  struct Match {
    const Handler* handler = nullptr;
    std::map<std::string, std::string> parameters;
    bool method_known = true;          ///< False: the path exists, but not with this method.
    std::vector<std::string> allowed;  ///< Then: the methods that it has.
  };
  /// `path` is still percent-encoded.
  Match find(std::string_view method, std::string_view path) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
  };
  std::vector<Route> routes_;
};

/// Runs before each handler; an answer ends the request with it (the bearer token check, for one).
using Guard = std::function<std::optional<Response>(const RequestHead&)>;

/// The Sprites API's error shape: {"error": kind, "message": text, "kind", "hint"?, "because"?}, status by the error's
/// kind.
Response error_response(const Error& error);

/// How patient a server is, and how much it takes.
struct Limits {
  std::chrono::milliseconds head{30'000};                    ///< From a request's first byte to the end of its head.
  std::chrono::milliseconds idle{120'000};                   ///< Between requests.
  std::chrono::milliseconds body{no_limit};                  ///< For a body that its handler reads as a whole.
  std::chrono::milliseconds send{no_limit};                  ///< For a peer to take an answer, or a part of one.
  std::chrono::milliseconds linger = std::chrono::hours(1);  ///< For a peer to end after the last answer: linger.h.
  std::size_t head_bytes = 64 * KiB;
  std::size_t body_bytes = 64 * MiB;  ///< Of a body that its handler reads as a whole, unless that sets less.
  std::size_t connections = 65536;    ///< Those beyond are closed at once.
};

/// Serves HTTP on connections until they end, all on `executor` (one thread or a strand). `router` must outlive every
/// connection.
class Server {
 public:
  Server(asio::any_io_executor executor, const Router& router, Guard guard = {}, Limits limits = {});
  ~Server();

  /// Serves one connection; returns at once.
  void serve(Stream stream);
  /// Accepts on an already listening socket (AF_UNIX or AF_INET), refusing Unix peers whose uid is neither ours nor
  /// root's.
  void listen(Fd listening_socket);
  /// Stops accepting and closes every connection, those that became WebSockets or were taken included.
  void stop();
  /// Connections that somebody still holds.
  std::size_t connections() const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

/// A listening TCP socket on 127.0.0.1; port 0 takes a free one. Errors: busy, as system_error.
Result<std::pair<Fd, std::uint16_t>> listen_loopback(std::uint16_t port);

/// The connected socket as a Stream.
Stream make_stream(asio::any_io_executor executor, Fd socket);
/// Copies bytes both ways until both directions have ended; half-closes are passed on. `a` is the client: once `b` has
/// ended its answer, `a` has 30 s to end too.
asio::awaitable<void> relay(Stream a, Stream b, std::string first_for_b = {});

}  // namespace sprite::http
