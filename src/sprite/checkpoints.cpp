#include "sprite/checkpoints.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "base/text.h"
#include "store/checkpoint_disk.h"

namespace sprite {

Source parse_source(const std::string& from) {
  const auto at = from.find('@');
  if (at == std::string::npos) return {from, ""};
  return {from.substr(0, at), from.substr(at + 1)};
}

Result<store::Checkpoint> find_checkpoint(const store::History& history, const std::string& id) {
  const std::string list = "run `sprite checkpoint list --include-auto`";
  if (id == current_id)
    return Error{Error::Kind::invalid, "'Current' is the disk as it is, not a checkpoint", list, {}};
  for (const store::HistoryEntry& entry : history.entries)
    if (name_of(entry.checkpoint) == id) return entry.checkpoint;
  return Error{Error::Kind::not_found, "there is no checkpoint '" + id + "'", list, {}};
}

Result<> check_room(const store::History& history, const std::string& name) {
  const auto made = std::ranges::count_if(
      history.entries, [](const auto& entry) { return entry.checkpoint.automatic == store::Automatic::no; });
  if (static_cast<std::size_t>(made) < checkpoints_max) return {};
  return Error{Error::Kind::no_space,
               "sprite '" + name + "' has " + std::to_string(made) + " checkpoints, and may not have more",
               "delete some that you do not need: `sprite checkpoint delete -s " + name + " ID`",
               {}};
}

std::vector<wire::Checkpoint> list_of(const store::History& history) {
  std::map<std::int64_t, const store::HistoryEntry*> by_number;
  for (const store::HistoryEntry& entry : history.entries) by_number[entry.checkpoint.number] = &entry;
  const auto place = [&](wire::Checkpoint& shown, std::optional<std::int64_t> source) {
    if (!source) return;
    shown.source_id = name_of(by_number.at(*source)->checkpoint);
    shown.history.emplace();
    // A source lies below: numbers of layers fall, so this ends.
    for (; source && shown.history->size() < history_max; source = by_number.at(*source)->source)
      shown.history->push_back(name_of(by_number.at(*source)->checkpoint));
  };
  std::vector<wire::Checkpoint> all;
  for (const store::HistoryEntry& entry : history.entries) {
    wire::Checkpoint& shown = all.emplace_back();
    shown.id = name_of(entry.checkpoint);
    shown.create_time = entry.checkpoint.created_at;
    if (!entry.checkpoint.comment.empty()) shown.comment = entry.checkpoint.comment;
    if (entry.checkpoint.automatic == store::Automatic::yes) shown.is_auto = true;
    if (entry.checkpoint.consistency == store::Consistency::crash) shown.crash_consistent = true;
    place(shown, entry.source);
  }
  wire::Checkpoint& current = all.emplace_back();
  current.id = current_id;
  current.create_time = format_time(std::chrono::system_clock::now());
  place(current, history.current);
  return all;
}

Result<wire::DifferenceRequest> difference_between(const store::History& history, const std::string& from,
                                                   const std::string& to) {
  const auto place = [](const store::Checkpoint& checkpoint) {
    return wire::ShownCheckpoint{name_of(checkpoint), store::checkpoint_offset(checkpoint.number)};
  };
  wire::DifferenceRequest request;
  std::optional<std::int64_t> source = history.current;
  if (!to.empty() && to != current_id) {
    TRY_LET(const store::Checkpoint second, find_checkpoint(history, to));
    request.to = place(second);
    source = std::ranges::find(history.entries, second.number, [](const auto& each) {
               return each.checkpoint.number;
             })->source;
  }
  if (from.empty() && !source)
    return Error{Error::Kind::not_found,
                 request.to ? "'" + to + "' is the first checkpoint: there is none before it to compare it with"
                            : "there is no checkpoint to compare the disk with",
                 request.to ? "name another: `sprite checkpoint diff A B`" : "make one: `sprite checkpoint create`",
                 {}};
  for (const store::HistoryEntry& entry : history.entries)
    if (entry.checkpoint.number == source) request.from = place(entry.checkpoint);
  if (!from.empty()) {
    TRY_LET(const store::Checkpoint first, find_checkpoint(history, from));
    request.from = place(first);
  }
  return request;
}

std::vector<wire::ShownCheckpoint> shown_of(const store::History& history) {
  constexpr std::size_t shown_max = 5;
  std::vector<wire::ShownCheckpoint> shown;
  for (auto each = history.entries.rbegin(); each != history.entries.rend() && shown.size() < shown_max; ++each)
    if (const store::Checkpoint& checkpoint = each->checkpoint; checkpoint.automatic == store::Automatic::no)
      shown.push_back({name_of(checkpoint), store::checkpoint_offset(checkpoint.number)});
  return shown;
}

}  // namespace sprite
