#pragma once
/// Connects to the agent in a VM.
#include <boost/asio/awaitable.hpp>

#include "base/file.h"
#include "channel/link.h"

namespace sprite {

/// The link to the agent behind a VM's channel socket, once it has answered. Errors: unavailable (nobody listens there,
/// or no answer within `limit`), invalid (the path is too long).
boost::asio::awaitable<Result<std::unique_ptr<channel::Link>>> connect_channel(boost::asio::any_io_executor executor,
                                                                               Path socket,
                                                                               channel::Link::Acceptor on_stream,
                                                                               channel::Link::Closed on_closed,
                                                                               std::chrono::milliseconds limit);

/// Completes after `time`.
boost::asio::awaitable<void> pause_for(std::chrono::milliseconds time);

}  // namespace sprite
