// Bytes that reach the host's disk for bytes that a guest writes: amplification_bench DIRECTORY
//
// Aligned random 4 KiB writes over 1 GiB, a flush every 1000, a cut every 20000. Prints lines of what, ratio, and what
// it may be at most. "Local" are bytes dirtied in the page cache by this process (/proc/self/io), sealing left out.
#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <cstdio>
#include <cstdlib>
#include <random>
#include <unordered_set>

#include "base/text.h"
#include "store/volume.h"

using namespace sprite;
using namespace sprite::store;

namespace {

template <class T>
T must(Result<T> result) {
  if (result) return *std::move(result);
  std::fputs(to_text(result.error()).c_str(), stderr);
  std::exit(1);
}
void must(Result<> result) {
  if (result) return;
  std::fputs(to_text(result.error()).c_str(), stderr);
  std::exit(1);
}

std::uint64_t written_bytes() {
  for (const std::string& line : split(must(read_file("/proc/self/io")), '\n'))
    if (line.starts_with("write_bytes: ")) return std::strtoull(line.c_str() + 13, nullptr, 10);
  return 0;
}

/// Bytes of chunks, before compression, in a pack: its objects follow each other, and only chunks are that large.
std::uint64_t chunk_bytes_in(const Path& pack) {
  const std::string bytes = must(read_file(pack));
  std::uint64_t total = 0;
  for (std::size_t at = 16; at < bytes.size();) {
    if (::ZSTD_getFrameContentSize(bytes.data() + at, bytes.size() - at) == chunk_bytes) total += chunk_bytes;
    at += ::ZSTD_findFrameCompressedSize(bytes.data() + at, bytes.size() - at);
  }
  return total;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: amplification_bench DIRECTORY\n", stderr);
    return 2;
  }
  constexpr std::uint64_t region = GiB, block = 4096;
  constexpr int writes = 100000;
  const Path directory = Path(arguments[1]) / "amplification-bench", sprite = directory / "sprite",
             runtime = "/dev/shm/amplification-bench";
  must(remove_tree(directory));
  must(make_directories(sprite));
  must(make_directories(runtime));
  must(write_file_atomically(directory / "image", ""));
  must(Volume::create(sprite, directory / "image", 100 * GiB));
  auto packs = std::make_shared<PackStore>(directory / "packs");
  auto volume = must(Volume::open(sprite, runtime, packs));
  std::mt19937_64 random(1);
  Bytes data(block);
  std::unordered_set<std::uint64_t> touched;
  std::uint64_t chunks_touched = 0;
  const std::uint64_t before = written_bytes();
  for (int i = 1; i <= writes; ++i) {
    for (std::size_t at = 0; at < block; at += 8) store_little(data.data() + at, static_cast<std::uint64_t>(random()));
    const std::uint64_t offset = random() % (region / block) * block;
    must(volume->write(offset, data));
    touched.insert(offset / chunk_bytes);
    if (i % 1000 == 0) must(volume->flush());
    if (i % 20000 != 0) continue;
    must(volume->cut());
    chunks_touched += touched.size();
    touched.clear();
  }
  must(volume->flush());
  const std::uint64_t local = written_bytes() - before;
  while (must(volume->seal())) {
  }
  std::uint64_t packed = 0, sealed = 0;
  for (const auto& each : std::filesystem::recursive_directory_iterator(directory / "packs")) {
    if (!each.is_regular_file()) continue;
    packed += each.file_size();
    sealed += chunk_bytes_in(each.path());
  }
  const double guest = static_cast<double>(writes) * block, dirtied = static_cast<double>(chunks_touched * chunk_bytes);
  fmt::print("local bytes ÷ guest's bytes\t{:.3f}\t1.1\n", static_cast<double>(local) / guest);
  fmt::print("sealed bytes ÷ dirtied 64 KiB chunks\t{:.3f}\t1.1\n", static_cast<double>(sealed) / dirtied);
  fmt::print("the same in packs, with the map\t{:.3f}\t\n", static_cast<double>(packed) / dirtied);
  volume.reset();
  must(remove_tree(directory));
  return remove_tree(runtime) ? 0 : 1;
}
