#include "store/chain.h"

#include <sys/uio.h>

#include <algorithm>

namespace sprite::store {
namespace {

/// Reads what is in the page cache; false if that is not all of it.
bool read_cached(int file, MutableByteView out, std::uint64_t offset) {
  const iovec part{out.data(), out.size()};
  return ::preadv2(file, &part, 1, static_cast<off_t>(offset), RWF_NOWAIT) == static_cast<ssize_t>(out.size());
}

}  // namespace

Chain::Piece Chain::find(std::uint64_t first, std::uint64_t count) const {
  for (const Source& source : sources_) {
    const Run run = source.states->run(first, count);
    count = run.count;
    if (run.state != BlockState::absent) return {source.file, run.state, count};
  }
  return {-1, BlockState::absent, count};
}

Result<bool> Chain::read(std::uint64_t offset, MutableByteView out, Wait wait) const {
  while (!out.empty()) {
    const std::uint64_t first = offset / block_bytes, within = offset % block_bytes;
    const Piece piece = find(first, (within + out.size() + block_bytes - 1) / block_bytes);
    const MutableByteView part = out.first(std::min<std::uint64_t>(out.size(), piece.count * block_bytes - within));
    if (piece.state != BlockState::data) {
      std::ranges::fill(part, std::byte{0});
    } else if (wait == Wait::yes) {
      TRY(pread_exactly(piece.file, part, offset));
    } else if (!read_cached(piece.file, part, offset)) {
      return false;
    }
    out = out.subspan(part.size());
    offset += part.size();
  }
  return true;
}

}  // namespace sprite::store
