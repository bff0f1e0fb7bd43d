#pragma once
/// Checkpoints: list, look, make, delete, restore. Making and restoring answer with a line of JSON for each step.
#include "http/server.h"
#include "sprite/sprites.h"

namespace sprite::api {

/// The routes below /v1/sprites/{name}.
void add_checkpoint_routes(http::Router& router, Sprites& sprites);
/// The same for a guest, about itself: below /v1. A restore ends whoever asks for it, so that is answered first.
void add_own_checkpoint_routes(http::Router& router, Sprites& sprites, const std::string& name);

}  // namespace sprite::api
