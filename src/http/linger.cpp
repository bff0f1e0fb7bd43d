#include "http/linger.h"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "http/deadline.h"

namespace sprite::http {

asio::awaitable<void> linger(std::shared_ptr<Stream> stream, std::chrono::milliseconds limit) {
  stream->shutdown_send();
  Deadline deadline(*stream, limit);
  std::array<char, 4096> discarded;
  for (;;) {
    auto [ended, count] =
        co_await stream->async_read_some(asio::buffer(discarded), asio::as_tuple(asio::use_awaitable));
    if (ended) break;
  }
  stream->close();
}

}  // namespace sprite::http
