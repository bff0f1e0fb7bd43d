#pragma once
/// Client: requests to the API and their answers, one at a time and waiting for each. Duplex connections are
/// exec_client.h's.
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/client.h"

namespace sprite::cli {

namespace asio = boost::asio;

/// Runs a coroutine to its end on a loop of its own, which ends with it.
template <class T>
Result<T> wait_for(std::function<asio::awaitable<Result<T>>()> work) {
  asio::io_context loop(1);
  Result<T> outcome = Error{Error::Kind::internal, "the work did not finish"};
  asio::co_spawn(loop, std::move(work), [&](std::exception_ptr failed, Result<T> result) {
    if (failed) die("an exception left a coroutine");
    outcome = std::move(result);
  });
  loop.run();
  return outcome;
}

class Client {
 public:
  /// `path_prefix` goes before every target: a server may live below one.
  explicit Client(http::Endpoint endpoint, std::string path_prefix = "")
      : endpoint_(std::move(endpoint)), path_prefix_(std::move(path_prefix)) {}

  /// The answer, whatever its status. Errors: not_found and unavailable (no server there, connection lost).
  Result<http::Response> fetch(http::Request request) const;
  /// The body of a good answer. Errors: as fetch(), and the one that the server answered.
  Result<std::string> call(std::string method, std::string target, std::string body = "") const;
  /// Hands over the body as it comes: a chunk a call where the answer is chunked. That of an error answer is handed
  /// over, too, before it becomes the error. Errors: as call().
  Result<> stream(http::Request request, std::function<void(std::string_view)> on_part) const;

  const http::Endpoint& endpoint() const { return endpoint_; }
  /// The request with the path prefix and the token put in, for connections of one's own.
  http::Request prepared(http::Request request) const;
  const std::string& path_prefix() const { return path_prefix_; }

 private:
  http::Endpoint endpoint_;
  std::string path_prefix_;
};

/// The endpoint and path prefix that "http://host:port/prefix" names. Errors: invalid (no URL, or https).
Result<Client> client_for_url(const std::string& url, const std::string& token);

}  // namespace sprite::cli
