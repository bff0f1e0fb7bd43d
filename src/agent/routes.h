#pragma once
/// The agent's two routers. Every answer carries Sprite-Version; until the machine has been configured only /host/
/// answers.
#include "agent/activity.h"
#include "agent/machine.h"
#include "agent/sessions.h"
#include "agent/tasks.h"
#include "http/server.h"

namespace sprite::agent {

/// What the daemon reaches over the channel: /host/… and the public routes under /v1.
http::Router channel_router(Machine& machine, Sessions& sessions, Tasks& tasks, ActivityMeter& activity);
/// Opens a stream on which the daemon answers. Errors: unavailable (no daemon there).
using OpenToDaemon = std::function<Result<Stream>()>;
/// What programs inside reach at /.sprite/api.sock. Checkpoints are the daemon's to make: those requests are passed on.
http::Router inside_router(Machine& machine, Tasks& tasks, OpenToDaemon daemon);

}  // namespace sprite::agent
