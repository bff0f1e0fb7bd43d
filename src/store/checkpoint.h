#pragma once
/// Checkpoint: a kept instant of a volume, as the world sees it.
#include <cstdint>
#include <string>

namespace sprite::store {

enum class Automatic { no, yes };
/// Whether the filesystem on the disk was at rest (frozen or unmounted), or is as after a loss of power. The store does
/// not know: who asks for a checkpoint does.
enum class Consistency { at_rest, crash };

struct Checkpoint {
  std::int64_t number = 0;  ///< its name to the store; never used again
  std::int64_t layer = 0;   ///< the volume as this layer shows it
  Automatic automatic = Automatic::no;
  std::string comment;
  std::string created_at;    ///< RFC 3339
  std::int64_t ordinal = 0;  ///< its number among those of its kind; never used again
  Consistency consistency = Consistency::at_rest;
  /// What no other checkpoint of any volume has (the id of its layer, in hexadecimal digits).
  std::string instant{};
};

/// Its name to people: "v3", or "auto-4" for an automatic one.
inline std::string name_of(const Checkpoint& checkpoint) {
  return (checkpoint.automatic == Automatic::yes ? "auto-" : "v") + std::to_string(checkpoint.ordinal);
}

}  // namespace sprite::store
