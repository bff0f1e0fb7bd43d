// connect(): apart from the rest, so that a static program that only serves does not pull in name resolution.
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include "base/unix_socket.h"
#include "http/client.h"

namespace sprite::http {
namespace {

using Socket = asio::generic::stream_protocol::socket;
using Address = asio::generic::stream_protocol::endpoint;

constexpr std::chrono::seconds patience{5};
constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

Error failure(const std::string& where, boost::system::error_code failed) {
  Error error = system_error(fmt::format("cannot connect to {}", where), failed.value());
  if (error.kind == Error::Kind::internal) error.kind = Error::Kind::unavailable;
  return error;
}

asio::awaitable<Result<Stream>> connect_to(Address address, std::string where) {
  const auto executor = co_await asio::this_coro::executor;
  const auto socket = std::make_shared<Socket>(executor);
  asio::steady_timer timer(executor, patience);
  timer.async_wait([socket](boost::system::error_code stopped) {
    if (!stopped) socket->close();
  });
  auto [failed] = co_await socket->async_connect(address, as_result);
  timer.cancel();
  if (failed == asio::error::operation_aborted)
    co_return Error{Error::Kind::unavailable, fmt::format("{} does not answer", where)};
  if (failed) co_return failure(where, failed);
  boost::system::error_code lost;
  const int handle = socket->release(lost);
  if (lost) co_return failure(where, lost);
  co_return make_stream(executor, Fd(handle));
}

asio::awaitable<Result<std::vector<Address>>> resolve(std::string host, std::uint16_t port) {
  std::vector<Address> addresses;
  boost::system::error_code not_numeric;
  const auto numeric = asio::ip::make_address(host, not_numeric);
  if (!not_numeric) {
    addresses.emplace_back(asio::ip::tcp::endpoint(numeric, port));
    co_return addresses;
  }
  asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
  auto [failed, found] = co_await resolver.async_resolve(host, std::to_string(port), as_result);
  if (failed)
    co_return Error{Error::Kind::unavailable, fmt::format("cannot find the host '{}'", host), "", {failed.message()}};
  for (const auto& entry : found) addresses.emplace_back(entry.endpoint());
  co_return addresses;
}

}  // namespace

asio::awaitable<Result<Stream>> connect(Endpoint endpoint) {
  if (!endpoint.unix_socket.empty()) {
    const std::string path = endpoint.unix_socket.string();
    CO_TRY(unix_address(path));
    const Address address{asio::local::stream_protocol::endpoint(path)};
    co_return co_await connect_to(address, path);
  }
  auto addresses = co_await resolve(endpoint.host, endpoint.port);
  if (!addresses) co_return std::move(addresses).error();
  Result<Stream> last = Error{Error::Kind::unavailable, fmt::format("the host '{}' has no address", endpoint.host)};
  for (const Address& address : *addresses) {
    last = co_await connect_to(address, fmt::format("{} port {}", endpoint.host, endpoint.port));
    if (last) break;
  }
  co_return last;
}

}  // namespace sprite::http
