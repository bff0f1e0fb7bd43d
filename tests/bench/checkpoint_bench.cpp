// Host-side time of checkpoint, restore and fork, at several amounts of data and of kept checkpoints:
//   checkpoint_bench DIRECTORY [GIGABYTES,... [CHECKPOINTS,...]]
// The data is a full map (every entry names a chunk) without the 50 GB themselves. Prints medians in ms.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "store/catalogue.h"
#include "store/map_node.h"
#include "store/volume.h"

using namespace sprite;
using namespace sprite::store;

namespace {

using Clock = std::chrono::steady_clock;

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

/// Makes a map of `chunks` chunks, all in one pack of random data.
Root full_map(PackStore& packs, std::uint64_t chunks) {
  PackWriter writer;
  std::vector<ObjectPlace> places;
  std::mt19937_64 random(1);
  for (int i = 0; i < 64; ++i) {
    Bytes content(chunk_bytes);
    for (std::size_t at = 0; at < content.size(); at += 8)
      store_little(content.data() + at, static_cast<std::uint64_t>(random()));
    places.push_back(must(writer.add(content)));
  }
  PackName pack = must(packs.put(writer.take()));
  std::vector<std::pair<PackName, ObjectPlace>> below;
  for (std::uint64_t chunk = 0; chunk < chunks; ++chunk) below.emplace_back(pack, places[chunk % places.size()]);
  for (unsigned level = 0; level < Node::levels; ++level) {
    std::vector<ObjectPlace> written;
    for (std::size_t first = 0; first < below.size(); first += Node::fanout) {
      Node node{.level = level, .packs = {below[first].first}};
      for (std::size_t i = 0; i < Node::fanout && first + i < below.size(); ++i)
        node.entries[i] = {Entry::Kind::object, 0, below[first + i].second};
      written.push_back(must(writer.add(node.encode())));
    }
    pack = must(packs.put(writer.take()));
    below.clear();
    for (const ObjectPlace& place : written) below.emplace_back(pack, place);
  }
  return {pack, below.front().second.offset, below.front().second.length, below.front().second.checksum};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

template <class Work>
double time_ms(Work work) {
  const auto begun = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
}

struct Row {
  double checkpoint = 0, restore = 0, fork = 0;
};

Row measure(const Path& directory, std::uint64_t gigabytes, int checkpoints) {
  constexpr std::uint64_t size = 100 * GiB;
  must(remove_tree(directory));
  const Path runtime = directory / "runtime", sprite = directory / "sprite";
  must(make_directories(runtime));
  must(make_directories(sprite));
  must(::truncate((must(open_file(directory / "image", O_RDWR | O_CREAT)), directory / "image").c_str(), size) == 0
           ? Result<>()
           : system_error("image"));
  must(Volume::create(sprite, directory / "image", size));
  auto packs = std::make_shared<PackStore>(directory / "packs");
  const std::uint64_t chunks = gigabytes * GiB / chunk_bytes;
  {
    auto volume = must(Volume::open(sprite, runtime, packs));
    must(volume->cut());
    must(volume->close());
    Catalogue catalogue = must(Catalogue::open(sprite));
    auto transaction = must(catalogue.begin());
    must(catalogue.set_root(1, full_map(*packs, chunks)));
    must(std::move(transaction).commit());
  }
  auto volume = must(Volume::open(sprite, runtime, packs));
  std::mt19937_64 random(2);
  const Bytes block(4096, std::byte{7});
  Row row;
  std::vector<double> checkpoint_times, restore_times, fork_times;
  for (int i = 0; i < checkpoints + 20; ++i) {
    for (int j = 0; j < 4; ++j) must(volume->write(random() % (gigabytes * GiB / 4096) * 4096, block));
    must(volume->prepare());
    const double took = time_ms([&] { must(volume->checkpoint("")); });
    if (i >= checkpoints) checkpoint_times.push_back(took);
    must(volume->seal());
    must(volume->fold(8));
  }
  for (int i = 0; i < 9; ++i) {
    must(volume->prepare());
    const Path fork = directory / ("fork" + std::to_string(i));
    fork_times.push_back(time_ms([&] {
      must(make_directories(fork));
      must(volume->fork(fork));
    }));
    must(volume->prepare());
    const auto number = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(checkpoints));
    restore_times.push_back(time_ms([&] { must(volume->restore(number)); }));
  }
  return {median(checkpoint_times), median(restore_times), median(fork_times)};
}

std::vector<std::uint64_t> numbers(const char* text) {
  std::vector<std::uint64_t> values;
  for (char* at = const_cast<char*>(text); *at;) {
    values.push_back(std::strtoull(at, &at, 10));
    if (*at == ',') ++at;
  }
  return values;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fputs("usage: checkpoint_bench DIRECTORY [GIGABYTES,... [CHECKPOINTS,...]]\n", stderr);
    return 2;
  }
  fmt::print("{:>8} {:>12} {:>14} {:>11} {:>8}   (ms, median)\n", "data", "checkpoints", "checkpoint", "restore",
             "fork");
  for (const std::uint64_t gigabytes : numbers(count > 2 ? arguments[2] : "1,10,50"))
    for (const std::uint64_t checkpoints : numbers(count > 3 ? arguments[3] : "1,100,1000")) {
      const Row row = measure(Path(arguments[1]) / "checkpoint-bench", gigabytes, static_cast<int>(checkpoints));
      fmt::print("{:>6} GB {:>12} {:>14.2f} {:>11.2f} {:>8.2f}\n", gigabytes, checkpoints, row.checkpoint, row.restore,
                 row.fork);
      std::fflush(stdout);
    }
  must(remove_tree(Path(arguments[1]) / "checkpoint-bench"));
  return 0;
}
