#pragma once
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>

#include "base/stream.h"

namespace sprite::http {

/// Ends `stream` without destroying what is on its way to a slow reader: sends end-of-stream, discards what still
/// comes, and closes once the peer has ended too, or `limit` is over: long, since a reader may well sit behind a pager;
/// a peer that is gone ends the stream at once.
asio::awaitable<void> linger(std::shared_ptr<Stream> stream, std::chrono::milliseconds limit = std::chrono::hours(1));

}  // namespace sprite::http
