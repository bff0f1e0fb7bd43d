#pragma once
/// Exec as the API tells it: over a WebSocket, over a plain POST, and the sessions that it leaves.
#include "agent/sessions.h"
#include "http/server.h"

namespace sprite::agent {

/// GET exec, exec/{session}: a WebSocket to a new or an existing session; without an upgrade, the list of sessions.
asio::awaitable<void> serve_exec(http::Exchange& exchange, Sessions& sessions);
/// POST exec: the body is the input, the answer's chunks are the output, one frame each.
asio::awaitable<void> serve_exec_post(http::Exchange& exchange, Sessions& sessions);
/// POST exec/{session}/kill: signals a session and tells in NDJSON how it goes.
asio::awaitable<void> serve_kill(http::Exchange& exchange, Sessions& sessions);

}  // namespace sprite::agent
