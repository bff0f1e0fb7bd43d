#pragma once
/// Layer: an immutable layer of a volume, as reads see it: which blocks it holds, and the file with their bytes.
#include <memory>

#include "store/mapping.h"
#include "store/states_file.h"

namespace sprite::store {

/// Where a layer's files are and what must be in them.
struct LayerFiles {
  Path directory;  ///< .../layers
  std::int64_t number = 0;
  LayerId id{};
  std::uint64_t volume_bytes = 0;

  Path image() const { return directory / (std::to_string(number) + ".img"); }
  Path states() const { return directory / (std::to_string(number) + ".bits"); }
};

class Layer {
 public:
  /// Errors: not_found, corrupt, invalid, unavailable.
  static Result<std::shared_ptr<const Layer>> open(const LayerFiles& files);
  /// The bottom layer, a raw file: it holds what is not a hole in it.
  static Result<std::shared_ptr<const Layer>> open_image(const Path& path, std::uint64_t volume_bytes);

  int file() const { return file_.get(); }
  const BlockStates& states() const { return states_; }

 private:
  Layer(Fd file, Mapping mapping) : file_(std::move(file)), mapping_(std::move(mapping)), states_(mapping_.words()) {}
  Fd file_;
  Mapping mapping_;
  BlockStates states_;
};

/// Bytes of the host's disk that an open file uses.
std::uint64_t storage_bytes(int file);

}  // namespace sprite::store
