#include "store/disk.h"

namespace sprite::store {
namespace {

using Passing = std::shared_lock<Gate>;

constexpr std::array<std::byte, block_bytes> zeros{};

}  // namespace

Disk::Disk(std::uint64_t size_bytes, Layers layers)
    : size_bytes_(size_bytes), layers_(std::move(layers)), chain_(chain_of(layers_)) {}

Chain Disk::chain_of(const Layers& layers) {
  std::vector<Chain::Source> sources{{layers.top->file(), &layers.top->states()}};
  for (const auto& layer : layers.lower) sources.push_back({layer->file(), &layer->states()});
  return Chain(std::move(sources), layers.packed, Chain::Source{layers.image->file(), &layers.image->states()});
}

Result<bool> Disk::read(std::uint64_t offset, MutableByteView out, Wait wait) {
  Passing pass(gate_, std::defer_lock);
  if (wait == Wait::yes) {
    pass.lock();
  } else if (!pass.try_lock()) {
    return false;
  }
  return chain_.read(offset, out, wait);
}

/// Splits a write into the part of a block at its start, whole blocks, and the part of a block at its end.
Result<> Disk::write(std::uint64_t offset, ByteView data) {
  const Passing pass(gate_);
  if (const std::uint64_t within = offset % block_bytes; within != 0) {
    const ByteView head = data.first(std::min<std::size_t>(data.size(), block_bytes - within));
    TRY(write_part(offset, head));
    offset += head.size();
    data = data.subspan(head.size());
  }
  const ByteView whole = data.first(data.size() / block_bytes * block_bytes);
  if (!whole.empty()) TRY(write_blocks(offset / block_bytes, whole));
  const ByteView tail = data.subspan(whole.size());
  return tail.empty() ? Result<>() : write_part(offset + whole.size(), tail);
}

Result<> Disk::write_blocks(std::uint64_t first, ByteView data) {
  TopLayer& top = *layers_.top;
  const std::uint64_t count = data.size() / block_bytes;
  if (top.states().all(first, count, BlockState::data)) return top.overwrite(first * block_bytes, data);
  const TopLayer::Stripes stripes(top, first, count);
  return top.write(first, data);
}

/// Writes within one block. A block that the top layer does not hold is first completed with what it reads as, under
/// its stripe: a write of the block's other half must not get lost between the two.
Result<> Disk::write_part(std::uint64_t offset, ByteView data) {
  TopLayer& top = *layers_.top;
  const std::uint64_t block = offset / block_bytes;
  if (top.states().at(block) == BlockState::data) return top.overwrite(offset, data);
  const TopLayer::Stripes stripes(top, block, 1);
  if (top.states().at(block) == BlockState::data) return top.overwrite(offset, data);
  std::array<std::byte, block_bytes> whole;
  TRY(chain_.read(block * block_bytes, whole, Wait::yes));
  std::ranges::copy(data, whole.begin() + static_cast<std::ptrdiff_t>(offset % block_bytes));
  return top.write(block, whole);
}

Result<> Disk::zero(std::uint64_t offset, std::uint64_t length) {
  const Passing pass(gate_);
  const std::uint64_t end = offset + length;
  const std::uint64_t first = (offset + block_bytes - 1) / block_bytes, last = end / block_bytes;
  if (first >= last) return zero_parts(offset, end);
  TRY(zero_parts(offset, first * block_bytes));
  TRY(zero_parts(last * block_bytes, end));
  return zero_blocks(first, last - first);
}

/// Writes zeros to a range that holds no whole block.
Result<> Disk::zero_parts(std::uint64_t offset, std::uint64_t end) {
  while (offset < end) {
    const std::uint64_t count = std::min(end - offset, block_bytes - offset % block_bytes);
    TRY(write_part(offset, ByteView(zeros).first(count)));
    offset += count;
  }
  return {};
}

/// Makes blocks zero, leaving out those that read as zeros already.
Result<> Disk::zero_blocks(std::uint64_t first, std::uint64_t count) {
  constexpr std::uint64_t locked_at_once = GiB / block_bytes;
  TopLayer& top = *layers_.top;
  while (count > 0) {
    const std::uint64_t some = std::min(count, locked_at_once - first % locked_at_once);
    const TopLayer::Stripes stripes(top, first, some);
    for (std::uint64_t done = 0; done < some;) {
      TRY_LET(const Chain::Piece piece, chain_.find(first + done, some - done));
      if (!piece.reads_as_zeros()) TRY(top.zero(first + done, piece.count));
      done += piece.count;
    }
    first += some;
    count -= some;
  }
  return {};
}

Result<> Disk::flush() {
  const Passing pass(gate_);
  return layers_.top->flush();
}

Result<std::vector<nbd::Extent>> Disk::block_status(std::uint64_t offset, std::uint64_t length,
                                                    std::size_t extents_max) {
  const Passing pass(gate_);
  std::vector<nbd::Extent> extents;
  for (const std::uint64_t end = offset + length; offset < end;) {
    const std::uint64_t block = offset / block_bytes;
    TRY_LET(const Chain::Piece piece, chain_.find(block, (end + block_bytes - 1) / block_bytes - block));
    const bool zero = piece.reads_as_zeros();
    const std::uint64_t bytes = std::min(end, (block + piece.count) * block_bytes) - offset;
    if (!extents.empty() && extents.back().zero == zero) {
      extents.back().length_bytes += bytes;
    } else {
      if (extents.size() == extents_max) break;
      extents.push_back({bytes, zero, zero});
    }
    offset += bytes;
  }
  return extents;
}

}  // namespace sprite::store
