#pragma once
#include <boost/asio/awaitable.hpp>
#include <memory>

#include "base/stream.h"

namespace sprite::http {

/// Ends `stream` without destroying what is on its way to a slow reader: sends end-of-stream, discards what still
/// comes, and closes once the peer has ended too (or after an hour).
asio::awaitable<void> linger(std::shared_ptr<Stream> stream);

}  // namespace sprite::http
