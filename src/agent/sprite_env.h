#pragma once
/// sprite-env: the command inside a sprite that talks to /.sprite/api.sock.
#include <string>
#include <vector>

namespace sprite::agent {

/// Runs `sprite-env words…`, printing the answer as it came; the exit status.
int run_sprite_env(const std::vector<std::string>& words);

}  // namespace sprite::agent
