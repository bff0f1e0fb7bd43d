#include "store/checkpoint_disk.h"

#include <algorithm>

#include "store/keeper.h"

namespace sprite::store {
namespace {

Error cannot_be_written() { return Error{Error::Kind::denied, "a checkpoint cannot be written"}; }

}  // namespace

Result<bool> CheckpointDisk::read(std::uint64_t offset, MutableByteView out, Wait wait) {
  while (!out.empty()) {
    const std::uint64_t region = offset / volume_bytes_max, within = offset % volume_bytes_max;
    const std::uint64_t held = region == 0 ? 0 : keeper_.disk().size_bytes();
    const std::uint64_t end = within < held ? held : volume_bytes_max;
    const MutableByteView part = out.first(std::min<std::uint64_t>(out.size(), end - within));
    if (within < held) {
      TRY_LET(const bool done, read_checkpoint(static_cast<std::int64_t>(region) - 1, within, part, wait));
      if (!done) return false;
    } else {
      std::ranges::fill(part, std::byte{0});
    }
    out = out.subspan(part.size());
    offset += part.size();
  }
  return true;
}

Result<bool> CheckpointDisk::read_checkpoint(std::int64_t number, std::uint64_t offset, MutableByteView out,
                                             Wait wait) {
  constexpr int attempts = 3;  // its pack may have been rewritten meanwhile: then there is a new view
  for (int attempt = 1;; ++attempt) {
    TRY_LET(const auto view, keeper_.view(number, wait));
    if (!view) return false;
    auto done = view->chain.read(offset, out, wait);
    if (done || done.error().kind != Error::Kind::not_found || attempt == attempts) return done;
  }
}

Result<> CheckpointDisk::read(std::uint64_t offset, MutableByteView out) {
  TRY(read(offset, out, Wait::yes));
  return {};
}

bool CheckpointDisk::read_now(std::uint64_t offset, MutableByteView out) {
  const auto done = read(offset, out, Wait::no);
  return done && *done;
}

Result<> CheckpointDisk::write(std::uint64_t, ByteView) { return cannot_be_written(); }
Result<> CheckpointDisk::trim(std::uint64_t, std::uint64_t) { return cannot_be_written(); }
Result<> CheckpointDisk::write_zeroes(std::uint64_t, std::uint64_t) { return cannot_be_written(); }

Result<std::vector<nbd::Extent>> CheckpointDisk::block_status(std::uint64_t, std::uint64_t length, std::size_t) {
  return std::vector{nbd::Extent{.length_bytes = length, .hole = false, .zero = false}};
}

}  // namespace sprite::store
