#pragma once
/// Checkpoint: a kept instant of a volume, as the world sees it.
#include <cstdint>
#include <string>

namespace sprite::store {

enum class Automatic { no, yes };

struct Checkpoint {
  std::int64_t number = 0;  ///< "v<number>"; never used again
  std::int64_t layer = 0;   ///< the volume as this layer shows it
  Automatic automatic = Automatic::no;
  std::string comment;
  std::string created_at;  ///< RFC 3339
};

}  // namespace sprite::store
