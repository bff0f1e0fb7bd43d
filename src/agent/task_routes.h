#pragma once
/// The routes of tasks (/v1/tasks), the same for programs inside and for clients of the API.
#include "agent/tasks.h"
#include "http/server.h"

namespace sprite::agent {

/// Every method on /v1/tasks and /v1/tasks/{task}.
asio::awaitable<void> serve_tasks(http::Exchange& exchange, Tasks& tasks);

}  // namespace sprite::agent
