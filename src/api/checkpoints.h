#pragma once
/// Checkpoints: list, look, make, delete, restore. Making and restoring answer with a line of JSON for each step.
#include <functional>
#include <string>

#include "http/server.h"
#include "sprite/sprites.h"

namespace sprite::api {

/// The routes below /v1/sprites/{name}.
void add_checkpoint_routes(http::Router& router, Sprites& sprites);
/// Makes a handler of another.
using Wrap = std::function<http::Handler(http::Handler)>;
/// The same for a guest, about itself: below /v1, each handler wrapped. A restore ends whoever asks for it, so that is
/// answered first; until it is done, another is refused.
void add_own_checkpoint_routes(http::Router& router, Sprites& sprites, const std::string& name, const Wrap& wrap);

}  // namespace sprite::api
