#include "vm/memory_copy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <future>
#include <mutex>
#include <thread>

#include "base/crc32c.h"

namespace sprite::vm {
namespace {

constexpr std::size_t page_bytes = 4 * KiB;
constexpr unsigned threads_max = 4;  // of a copy; more wait for memory

bool all_zero(ByteView page) {
  return page[0] == std::byte{0} && std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
}

/// Where there may be data at or behind `from`; `end` if nowhere.
std::uint64_t next_data(const Fd& file, std::uint64_t from, std::uint64_t end) {
  const off_t found = ::lseek(file.get(), static_cast<off_t>(from), SEEK_DATA);
  if (found < 0) return errno == ENXIO ? end : from;  // a file system that does not know: everything may be data
  return std::min(static_cast<std::uint64_t>(found), end);
}

std::uint64_t next_hole(const Fd& file, std::uint64_t from, std::uint64_t end) {
  const off_t found = ::lseek(file.get(), static_cast<off_t>(from), SEEK_HOLE);
  return found < 0 ? end : std::min(static_cast<std::uint64_t>(found), end);
}

/// Nothing but zeros is in [begin, end) then; no data where the file system can make holes.
Result<> empty(const Fd& file, std::uint64_t begin, std::uint64_t end) {
  begin = next_data(file, begin, end);
  if (begin >= end || ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(begin),
                                  static_cast<off_t>(end - begin)) == 0)
    return {};
  if (errno == EOPNOTSUPP) return pwrite_all(file.get(), Bytes(end - begin), begin);
  return system_error("cannot empty a part of a memory file");
}

/// A run of pages with data, in the buffer of a block.
struct Run {
  std::size_t at = 0, bytes = 0;
};

/// One block of RAM on its way.
class Block {
 public:
  Block() : buffer_(memory_block_bytes) {}

  /// Reads the pages of [begin, end) that are not all zeros.
  Result<> read(const Fd& from, std::uint64_t begin, std::uint64_t end) {
    runs_.clear();
    checksum_ = 0;
    for (std::uint64_t at = next_data(from, begin, end); at < end; at = next_data(from, at, end)) {
      at -= at % page_bytes;
      std::uint64_t stop = next_hole(from, at, end);
      stop = std::min(end, (stop + page_bytes - 1) / page_bytes * page_bytes);
      if (stop <= at) stop = end;  // a file system that knows data but no holes
      TRY(pread_exactly(from.get(), MutableByteView(buffer_).subspan(at - begin, stop - at), at));
      for (; at < stop; at += page_bytes) take_page(begin, at - begin);
    }
    return {};
  }

  Result<> write(const Fd& to, std::uint64_t begin) const {
    for (const Run& run : runs_)
      TRY(pwrite_all(to.get(), ByteView(buffer_).subspan(run.at, run.bytes), begin + run.at));
    return {};
  }

  /// Empties what is not written of [begin, end).
  Result<> empty_rest(const Fd& to, std::uint64_t begin, std::uint64_t end) const {
    std::uint64_t at = begin;
    for (const Run& run : runs_) {
      TRY(empty(to, at, begin + run.at));
      at = begin + run.at + run.bytes;
    }
    return empty(to, at, end);
  }

  std::uint32_t checksum() const { return checksum_; }
  std::uint64_t data_bytes() const {
    std::uint64_t sum = 0;
    for (const Run& run : runs_) sum += run.bytes;
    return sum;
  }

 private:
  void take_page(std::uint64_t begin, std::size_t at) {
    const ByteView page = ByteView(buffer_).subspan(at, page_bytes);
    if (all_zero(page)) return;
    std::array<std::byte, 8> number{};
    store_little(number.data(), (begin + at) / page_bytes);
    checksum_ = crc32c(crc32c(checksum_, number), page);
    if (!runs_.empty() && runs_.back().at + runs_.back().bytes == at) {
      runs_.back().bytes += page_bytes;
    } else {
      runs_.push_back({at, page_bytes});
    }
  }

  Bytes buffer_;
  std::vector<Run> runs_;
  std::uint32_t checksum_ = 0;
};

/// The blocks of a memory, which several threads take from it; the first error ends all.
class Blocks {
 public:
  /// `expected`: the checksum of each, if they are to be compared. `to`: where they are copied, if they are; it has no
  /// data, unless they are compared.
  Blocks(const Fd& from, std::uint64_t bytes, const std::vector<std::uint32_t>* expected, const Fd* to,
         const std::atomic<bool>& cancelled)
      : from_(from), bytes_(bytes), expected_(expected), to_(to), cancelled_(cancelled) {
    copied_.checksums.resize((bytes + memory_block_bytes - 1) / memory_block_bytes);
  }

  Result<CopiedMemory> all() && {
    std::vector<std::future<void>> others;
    for (unsigned i = 1; i < std::min(std::thread::hardware_concurrency(), threads_max); ++i)
      others.push_back(std::async(std::launch::async, [this] { work(); }));
    work();
    for (auto& other : others) other.get();
    TRY(std::move(outcome_));
    return std::move(copied_);
  }

 private:
  /// Until none is left.
  void work() {
    Block block;
    for (std::size_t number = next_++; number < copied_.checksums.size(); number = next_++) {
      auto done = take(block, number);
      const std::lock_guard lock(mutex_);
      copied_.checksums[number] = block.checksum();
      copied_.data_bytes += block.data_bytes();
      if (done) continue;
      next_ = copied_.checksums.size();
      if (outcome_) outcome_ = std::move(done);
    }
  }

  Result<> take(Block& block, std::size_t number) const {
    if (cancelled_) return Error{Error::Kind::busy, "the copy of the memory was cancelled", {}, {}};
    const std::uint64_t begin = number * memory_block_bytes, end = std::min(begin + memory_block_bytes, bytes_);
    TRY(block.read(from_, begin, end));
    if (expected_ && (number >= expected_->size() || (*expected_)[number] != block.checksum()))
      return Error{
          Error::Kind::corrupt, fmt::format("the saved memory has a wrong checksum at {} MiB", begin / MiB), {}, {}};
    if (!to_) return {};
    if (expected_) TRY(block.empty_rest(*to_, begin, end));
    return block.write(*to_, begin);
  }

  const Fd& from_;
  const std::uint64_t bytes_;
  const std::vector<std::uint32_t>* const expected_;
  const Fd* const to_;
  const std::atomic<bool>& cancelled_;
  std::atomic<std::size_t> next_ = 0;
  std::mutex mutex_;
  CopiedMemory copied_;
  Result<> outcome_;
};

}  // namespace

Result<CopiedMemory> copy_memory(const Fd& from, const Fd& to, std::uint64_t bytes,
                                 const std::atomic<bool>& cancelled) {
  return Blocks(from, bytes, nullptr, &to, cancelled).all();
}

Result<> verify_memory(const Fd& from, std::uint64_t bytes, const std::vector<std::uint32_t>& expected,
                       const std::atomic<bool>& cancelled) {
  TRY(Blocks(from, bytes, &expected, nullptr, cancelled).all());
  return {};
}

Result<> copy_verified_memory(const Fd& from, const Fd& to, std::uint64_t bytes,
                              const std::vector<std::uint32_t>& expected, const std::atomic<bool>& cancelled) {
  TRY(verify_memory(from, bytes, expected, cancelled));
  TRY(Blocks(from, bytes, &expected, &to, cancelled).all());
  return {};
}

}  // namespace sprite::vm
