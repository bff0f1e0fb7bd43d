#pragma once
/// What people are told of a sprite's sleep and wake.
#include <chrono>
#include <optional>
#include <string>

#include "wire/types.h"

namespace sprite::cli {

/// What sleep_outlook() says at `now`: "kept awake: programs use the processor", "paused in 12s"; may be empty.
std::string outlook_at(const wire::Sprite& sprite, std::chrono::system_clock::time_point now);

/// What a command warns of that began at `since` and woke `sprite`: its saved memory could not be used, so that
/// programs ended. Nothing if it did not wake it, or went on with its memory.
std::optional<std::string> memory_warning(const wire::Sprite& sprite, std::chrono::system_clock::time_point since);

}  // namespace sprite::cli
