#pragma once
/// The file of a layer's block states: layers/<n>.bits, and its twin in the runtime directory. FORMAT.md has the bytes.
#include <array>

#include "base/file.h"
#include "store/block_states.h"

namespace sprite::store {

using LayerId = std::array<std::byte, 16>;

/// The first 4 KiB of the file.
struct StatesHeader {
  static constexpr std::size_t wire_bytes = 4 * KiB;
  LayerId layer{};
  std::uint64_t size_bytes = 0;  ///< of the volume
  LayerId boot{};                ///< runtime twin: the host's boot in which it is valid; else zeros
  LayerId instance{};            ///< durable file: the one twin that goes with it; twin: itself

  Bytes encode() const;
  /// Errors: corrupt, invalid (a newer version).
  static Result<StatesHeader> decode(ByteView bytes);
  bool operator==(const StatesHeader&) const = default;
};

/// This boot of the host. Errors: unavailable.
Result<LayerId> boot_id();

/// Bytes of the state words of a volume of `size_bytes`, whole pages.
std::uint64_t states_bytes(std::uint64_t size_bytes);

/// Makes `path` with all blocks absent; not durable yet. Errors: exists, no_space, unavailable.
Result<Fd> create_states_file(const Path& path, const StatesHeader& header);
struct StatesFile {
  Path path;
  Fd file;
  StatesHeader header;
};
/// Opens `path` and checks that it is of that layer. Errors: not_found, corrupt, invalid, unavailable.
Result<StatesFile> open_states_file(const Path& path, const LayerId& layer, std::uint64_t size_bytes);
/// Writes the header anew; not durable yet. Errors: no_space, unavailable.
Result<> write_states_header(const StatesFile& to);
/// Reads the states of such a file into `words`, which are all zero. Errors: corrupt, unavailable.
Result<> load_states(const StatesFile& from, std::span<std::uint64_t> words);

/// Makes `words` the states in such a file, writing only pages that differ; durable. Errors: no_space, unavailable.
Result<> save_states(const StatesFile& to, std::span<const std::uint64_t> words);

}  // namespace sprite::store
