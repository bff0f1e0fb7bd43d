#include "sprite/connect_channel.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/unix_socket.h"

namespace sprite {

namespace asio = boost::asio;

asio::awaitable<Result<std::unique_ptr<channel::Link>>> connect_channel(asio::any_io_executor executor, Path socket,
                                                                        channel::Link::Acceptor on_stream,
                                                                        channel::Link::Closed on_closed,
                                                                        std::chrono::milliseconds limit) {
  CO_TRY_LET(Fd connected, connect_unix(socket, Blocking::no));
  auto link = std::make_unique<channel::Link>(executor, std::move(connected), channel::Role::host,
                                              channel::Link::Options{}, std::move(on_stream), std::move(on_closed));
  CO_TRY(co_await link->ready(limit));
  co_return link;
}

asio::awaitable<void> pause_for(std::chrono::milliseconds time) {
  asio::steady_timer timer(co_await asio::this_coro::executor, time);
  boost::system::error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace sprite
