#pragma once
/// Checkpoints as the API names and shows them.
#include <string>
#include <vector>

#include "store/history.h"
#include "wire/types.h"

namespace sprite {

/// What the list calls the present disk.
constexpr std::string_view current_id = "Current";

/// The checkpoint of that id. Errors: not_found, invalid ("Current").
Result<store::Checkpoint> find_checkpoint(const store::History& history, const std::string& id);
/// The oldest first, the present disk last.
std::vector<wire::Checkpoint> list_of(const store::History& history);

/// Those that a machine shows at /.sprite/checkpoints: the newest five of those that people made.
std::vector<wire::ShownCheckpoint> shown_of(const store::History& history);

}  // namespace sprite
