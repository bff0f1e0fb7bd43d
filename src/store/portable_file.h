#pragma once
/// The bytes of a portable disk: a header, and a record for each chunk. FORMAT.md describes them.
#include <string>

#include "base/file.h"
#include "store/block_states.h"
#include "store/map_node.h"

namespace sprite::store {

/// What a portable file says of itself before its data.
struct PortableHeader {
  std::uint64_t size_bytes = 0;  ///< of the volume
  std::string description{};     ///< the caller's own, such as the sprite's record as JSON
};

constexpr std::size_t portable_description_bytes_max = MiB;
/// In the place of a chunk's number: no more chunks; the record's length is how many there were.
constexpr std::uint64_t portable_end_mark = ~std::uint64_t{0};

Bytes encode_portable_header(const PortableHeader& header);
/// What stands before a chunk's `content`: its number, and the length of what follows.
Bytes encode_portable_record(std::uint64_t chunk, std::uint32_t length, ByteView content);

/// Reads the header from where `file` is; `path` is for error texts. Errors: corrupt, invalid (a newer version).
Result<PortableHeader> read_portable_header(const Path& path, int file);
/// How many chunks follow, at a look at the records only; the file's position stays. Damage is read_portable_chunks()'s
/// to tell. Errors: unavailable.
Result<std::uint64_t> count_portable_chunks(const Path& path, int file);
/// Reads the records that follow it, and writes their chunks into `image`. Errors: corrupt (naming the place),
/// no_space, unavailable.
Result<> read_portable_chunks(const Path& path, int file, std::uint64_t size_bytes, int image);

}  // namespace sprite::store
