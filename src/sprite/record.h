#pragma once
/// What is durable about a sprite besides its disk: name, settings, times. Kept in its folder's volume.db.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "meta/database.h"
#include "wire/types.h"

namespace sprite {

struct Record {
  std::string id{};  ///< "sprite-<uuid>"
  std::string name{};
  std::string image{};  ///< the image's digest
  std::string image_name{};
  std::uint64_t memory_bytes = 0;
  unsigned vcpus = 0;
  std::string mac_address{};
  std::optional<std::string> vm_id{};  ///< the VM that runs, or last ran, it; none: the one with its own uuid
  /// The VM in which a clone with memory goes on at first. As long as that is hidden, the clone was never handed out.
  std::optional<std::string> born_in{};
  wire::UrlSettings url_settings{};
  std::vector<std::string> labels{};
  std::map<std::string, std::string> environment{};
  std::optional<std::string> sleep_after{}, sleep_deep_after{};  ///< as parse_sleep_time(); none: as the settings say
  std::optional<bool> pinned{};                                  ///< it does not fall asleep by itself
  std::string created_at{}, updated_at{};                        ///< RFC 3339
  std::optional<std::string> last_running_at{};
  /// While it sleeps: a timer of a program is due then, and it wakes, a little earlier, for that.
  std::optional<std::string> timer_due_at{}, wakes_at{};
};

/// Errors: not_found, corrupt, unavailable.
Result<Record> load_record(const Path& sprite_dir);
/// Durable when it returns. Errors: no_space, unavailable.
Result<> save_record(const Path& sprite_dir, const Record& record);
/// The same into an open volume.db, as part of whatever transaction there is.
Result<> save_record(meta::Database& database, const Record& record);

/// A copy sleeps as its source does.
void take_sleep_settings(Record& copy, const Record& of);

/// Changes last_running_at alone, unless it is later already; durable when it returns. Errors: as load_record().
Result<> save_last_running(const Path& sprite_dir, const std::string& time);

/// The record as JSON: what an exported sprite says of itself.
std::string to_json(const Record& record);
/// Errors: corrupt.
Result<Record> record_from_json(std::string_view text);

/// Whether a text for people has nothing in it that a terminal obeys, nor a line's end.
bool is_one_line(std::string_view text);

}  // namespace sprite
