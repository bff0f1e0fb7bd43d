#pragma once
/// Checkpoints as the API names and shows them.
#include <string>
#include <vector>

#include "store/history.h"
#include "wire/types.h"

namespace sprite {

/// What the list calls the present disk.
constexpr std::string_view current_id = "Current";

/// What a new sprite begins as: "name" or "name@checkpoint".
struct Source {
  std::string name{}, checkpoint{};
};
Source parse_source(const std::string& from);

/// The checkpoint of that id. Errors: not_found, invalid ("Current").
Result<store::Checkpoint> find_checkpoint(const store::History& history, const std::string& id);
/// How many a sprite may have, not counting those that restores make (of which a few are kept): each has files and rows
/// on the host, and a guest can make them.
constexpr std::size_t checkpoints_max = 1000;
/// Whether sprite `name` may have one more. Errors: no_space.
Result<> check_room(const store::History& history, const std::string& name);

/// How far back each one of a list tells of those that it came after; else a list would grow with the square of them.
constexpr std::size_t history_max = 100;
/// The oldest first, the present disk last.
std::vector<wire::Checkpoint> list_of(const store::History& history);

/// What to compare: an empty `from` is what `to` came after, an empty `to` the present disk. Errors: not_found,
/// invalid.
Result<wire::DifferenceRequest> difference_between(const store::History& history, const std::string& from,
                                                   const std::string& to);
/// Those that a machine shows at /.sprite/checkpoints: the newest five of those that people made.
std::vector<wire::ShownCheckpoint> shown_of(const store::History& history);

}  // namespace sprite
