#pragma once
/// Layer: a layer of a volume that is not written any more, as reads see it: which blocks it holds, and the file with
/// their bytes. What it reads as with those below never changes, but its states may: it takes over blocks of the layer
/// below (absorb), and once sealed forgets blocks that packs have (forget).
#include <memory>

#include "store/mapping.h"
#include "store/states_file.h"

namespace sprite::store {

/// The image is a layer, too: the bottom one.
constexpr std::int64_t image_layer = 0;

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
  static Result<std::shared_ptr<Layer>> open(const LayerFiles& files);
  /// The bottom layer, a raw file: it holds what is not a hole in it.
  static Result<std::shared_ptr<Layer>> open_image(const Path& path, std::uint64_t volume_bytes);

  /// A top layer that is not written any more.
  Layer(std::int64_t number, Fd file, Mapping mapping, BlockStates states)
      : number_(number), file_(std::move(file)), mapping_(std::move(mapping)), states_(states) {}

  std::int64_t number() const { return number_; }
  int file() const { return file_.get(); }
  const BlockStates& states() const { return states_; }

  /// Fills the blocks that this layer lacks with those of `lower`, which lies right below: nothing reads differently
  /// for it, then or meanwhile. Durable when it returns; after a crash some are filled. Errors: no_space, unavailable.
  Result<> absorb(const Layer& lower, const LayerFiles& own_files);
  /// Makes blocks absent, durably: in each word from `first_word` on those whose first bit `blocks` has. Their bytes
  /// stay until give_back(), for those who read meanwhile. Errors: no_space, unavailable.
  Result<> forget(std::size_t first_word, std::span<const std::uint64_t> blocks, const LayerFiles& own_files);
  /// Gives back the storage of blocks that were forgotten and that nobody reads any more. Errors: unavailable.
  Result<> give_back(std::size_t first_word, std::span<const std::uint64_t> blocks, const LayerFiles& own_files) const;
  /// More names than the one lead to the layer's bytes: a fork shares them, and it must not be changed.
  bool is_linked() const;

 private:
  Result<> copy_blocks(const Layer& lower, const Fd& own, std::uint64_t first, std::uint64_t count);
  std::int64_t number_;
  Fd file_;
  Mapping mapping_;
  BlockStates states_;
};

/// Gives back the storage of these blocks of an open file, where its filesystem can. Errors: unavailable.
Result<> punch(int file, std::uint64_t first, std::uint64_t count);

/// Bytes of the host's disk that an open file uses.
std::uint64_t storage_bytes(int file);

}  // namespace sprite::store
