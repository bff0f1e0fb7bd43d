#include "store/chain.h"

#include <sys/uio.h>

#include <algorithm>
#include <cstring>

namespace sprite::store {
namespace {

constexpr std::uint64_t chunk_blocks = chunk_bytes / block_bytes;

/// Reads what is in the page cache; false if that is not all of it.
bool read_cached(int file, MutableByteView out, std::uint64_t offset) {
  const iovec part{out.data(), out.size()};
  return ::preadv2(file, &part, 1, static_cast<off_t>(offset), RWF_NOWAIT) == static_cast<ssize_t>(out.size());
}

}  // namespace

/// The newest layer with these blocks; `count` becomes smaller where layers change. Looks ahead only a few times as far
/// as the answer reaches: what an upper layer lacks may go on to the end of the disk, and a lower one end it at once.
std::optional<Chain::Piece> Chain::find_local(std::uint64_t first, std::uint64_t& count) const {
  constexpr std::uint64_t first_window = 64, growth = 8;
  for (std::uint64_t window = std::min(count, first_window);; window = std::min(count, window * growth)) {
    std::uint64_t found = window;
    auto piece = find_within(first, found);
    if (found < window || window == count) {
      count = found;
      return piece;
    }
  }
}

std::optional<Chain::Piece> Chain::find_within(std::uint64_t first, std::uint64_t& count) const {
  for (const Source& source : local_) {
    const Run run = source.states->run(first, count);
    count = run.count;
    if (run.state == BlockState::data) return Piece{Piece::From::file, count, source.file, {}};
    if (run.state == BlockState::zero) return Piece{Piece::From::zeros, count, -1, {}};
  }
  return std::nullopt;
}

Result<Chain::Piece> Chain::find(std::uint64_t first, std::uint64_t count) const {
  if (const auto local = find_local(first, count)) return *local;
  TRY_LET(const auto below, find_below(first, count, Wait::yes));
  return *below;
}

Result<std::optional<Chain::Piece>> Chain::find_below(std::uint64_t first, std::uint64_t count, Wait wait) const {
  if (packed_) {
    const std::uint64_t chunk = first / chunk_blocks, within = first % chunk_blocks;
    TRY_LET(const auto found, packed_->find(chunk, (within + count + chunk_blocks - 1) / chunk_blocks, wait));
    if (!found) return std::optional<Piece>();
    count = std::min(count, found->chunks * chunk_blocks - within);
    if (found->kind == Entry::Kind::object) return std::optional(Piece{Piece::From::pack, count, -1, *found});
    if (found->kind == Entry::Kind::zero) return std::optional(Piece{Piece::From::zeros, count, -1, {}});
  }
  if (image_) {
    const Run run = image_->states->run(first, count);
    count = run.count;
    if (run.state == BlockState::data) return std::optional(Piece{Piece::From::file, count, image_->file, {}});
  }
  return std::optional(Piece{Piece::From::nowhere, count, -1, {}});
}

Result<bool> Chain::read(std::uint64_t offset, MutableByteView out, Wait wait) const {
  while (!out.empty()) {
    const std::uint64_t first = offset / block_bytes, within = offset % block_bytes;
    std::uint64_t count = (within + out.size() + block_bytes - 1) / block_bytes;
    auto piece = find_local(first, count);
    if (!piece) {
      TRY_LET(piece, find_below(first, count, wait));
      if (!piece) return false;
    }
    const MutableByteView part = out.first(std::min<std::uint64_t>(out.size(), piece->count * block_bytes - within));
    if (piece->reads_as_zeros()) {
      std::memset(part.data(), 0, part.size());
    } else if (piece->from == Piece::From::pack) {
      TRY_LET(const auto chunk, packed_->read(piece->chunk, wait));
      if (!chunk) return false;
      std::copy_n(chunk->begin() + static_cast<std::ptrdiff_t>(offset % chunk_bytes), part.size(), part.begin());
    } else if (wait == Wait::yes) {
      TRY(pread_exactly(piece->file, part, offset));
    } else if (!read_cached(piece->file, part, offset)) {
      return false;
    }
    out = out.subspan(part.size());
    offset += part.size();
  }
  return true;
}

}  // namespace sprite::store
