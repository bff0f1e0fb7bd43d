#pragma once
/// The routes for the daemon only: /host/….
#include "agent/activity.h"
#include "agent/machine.h"
#include "agent/sessions.h"
#include "http/server.h"

namespace sprite::agent {

/// A machine that was another's before has that one's sessions, whose clients stayed with that one.
asio::awaitable<void> serve_configure(http::Exchange& exchange, Machine& machine, Sessions& sessions);
asio::awaitable<void> serve_status(http::Exchange& exchange, Machine& machine);
/// Answers when the disk is unmounted; the power goes a moment later.
asio::awaitable<void> serve_shutdown(http::Exchange& exchange, Machine& machine);
asio::awaitable<void> serve_freeze(http::Exchange& exchange, Machine& machine);
asio::awaitable<void> serve_thaw(http::Exchange& exchange, Machine& machine);
asio::awaitable<void> serve_activity(http::Exchange& exchange, Machine& machine, ActivityMeter& activity);
asio::awaitable<void> serve_hold(http::Exchange& exchange, Machine& machine);
asio::awaitable<void> serve_go_on(http::Exchange& exchange, Machine& machine);
asio::awaitable<void> serve_container_stop(http::Exchange& exchange, Machine& machine);
asio::awaitable<void> serve_disk_check(http::Exchange& exchange, Machine& machine);
asio::awaitable<void> serve_difference(http::Exchange& exchange, Machine& machine);
asio::awaitable<void> serve_checkpoints(http::Exchange& exchange, Machine& machine);
asio::awaitable<void> serve_container_start(http::Exchange& exchange, Machine& machine);

}  // namespace sprite::agent
