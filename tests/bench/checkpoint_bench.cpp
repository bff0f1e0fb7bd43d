// Host-side time of checkpoint, restore and fork of volumes with much data and many checkpoints.
//   checkpoint_bench make DIRECTORY GIGABYTES CHECKPOINTS    makes a volume; best on a tmpfs, then to be copied
//   checkpoint_bench measure ROUNDS DIRECTORY...             by turns; prints "DIRECTORY what ms ms ms ..."
// The data is a full map (every entry names a chunk) without the bytes themselves. What the daemon's upkeep does
// between two checkpoints (prepare, seal, fold) is done here, too, and not measured.
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

template <class Work>
double time_ms(Work work) {
  const auto begun = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
}

/// What upkeep does when nobody waits.
void keep_up(Volume& volume) {
  must(volume.prepare());
  while (must(volume.fold(UpkeepPolicy{}.layers_max)) || must(volume.seal())) {
  }
}

class Subject {
 public:
  explicit Subject(Path directory)
      : directory_(std::move(directory)),
        gigabytes_(std::strtoull(must(read_file(directory_ / "gigabytes")).c_str(), nullptr, 10)) {
    must(make_directories(directory_ / "runtime"));
    volume_ = must(
        Volume::open(directory_ / "sprite", directory_ / "runtime", std::make_shared<PackStore>(directory_ / "packs")));
  }

  static void make(const Path& directory, std::uint64_t gigabytes, std::uint64_t checkpoints) {
    constexpr std::uint64_t size = 100 * GiB;
    must(remove_tree(directory));
    must(make_directories(directory / "runtime"));
    must(make_directories(directory / "sprite"));
    must(write_file_atomically(directory / "gigabytes", std::to_string(gigabytes)));
    const Fd image = must(open_file(directory / "image", O_RDWR | O_CREAT));
    must(::ftruncate(image.get(), size) == 0 ? Result<>() : system_error("cannot size the image"));
    must(Volume::create(directory / "sprite", directory / "image", size));
    auto packs = std::make_shared<PackStore>(directory / "packs");
    {
      auto volume = must(Volume::open(directory / "sprite", directory / "runtime", packs));
      must(volume->cut());
      must(volume->close());
      Catalogue catalogue = must(Catalogue::open(directory / "sprite"));
      auto transaction = must(catalogue.begin());
      must(catalogue.set_root(1, full_map(*packs, gigabytes * GiB / chunk_bytes)));
      must(std::move(transaction).commit());
    }
    Subject subject(directory);
    for (std::uint64_t i = 0; i < checkpoints; ++i) {
      subject.write_a_little();
      must(subject.volume_->checkpoint(""));
      keep_up(*subject.volume_);
    }
    must(subject.volume_->close());
  }

  /// One of each; what was made is removed, so that the next round finds the same.
  void round() {
    write_a_little();
    keep_up(*volume_);
    Checkpoint made;
    checkpoints_.push_back(time_ms([&] { made = must(volume_->checkpoint("")); }));
    keep_up(*volume_);
    const Path fork = directory_ / "fork";
    write_a_little();
    forks_.push_back(time_ms([&] {
      must(make_directories(fork));
      must(volume_->fork(fork));
    }));
    must(remove_tree(fork));
    keep_up(*volume_);
    write_a_little();
    Checkpoint before;
    restores_.push_back(time_ms([&] { before = must(volume_->restore(made.number)); }));
    must(volume_->remove_checkpoint(before.number));
    must(volume_->remove_checkpoint(made.number));
    keep_up(*volume_);
  }

  void print() const {
    const auto line = [&](const char* what, const std::vector<double>& times) {
      fmt::print("{} {} {:.3f}\n", directory_.string(), what, fmt::join(times, " "));
    };
    line("checkpoint", checkpoints_);
    line("fork", forks_);
    line("restore", restores_);
  }

 private:
  void write_a_little() {
    const Bytes block(4096, static_cast<std::byte>(random_()));
    for (int i = 0; i < 4; ++i) must(volume_->write(random_() % (gigabytes_ * GiB / 4096) * 4096, block));
  }

  const Path directory_;
  const std::uint64_t gigabytes_;
  std::shared_ptr<Volume> volume_;
  std::mt19937_64 random_{2};
  std::vector<double> checkpoints_, forks_, restores_;
};

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  const auto number = [&](std::size_t i) { return std::strtoull(words[i].c_str(), nullptr, 10); };
  if (words.size() == 4 && words[0] == "make") {
    Subject::make(words[1], number(2), number(3));
    return 0;
  }
  if (words.size() > 2 && words[0] == "measure") {
    std::vector<std::unique_ptr<Subject>> subjects;
    for (std::size_t i = 2; i < words.size(); ++i) subjects.push_back(std::make_unique<Subject>(words[i]));
    for (std::uint64_t round = 0; round < number(1); ++round)
      for (const auto& subject : subjects) subject->round();
    for (const auto& subject : subjects) subject->print();
    return 0;
  }
  std::fputs("usage: checkpoint_bench make DIRECTORY GIGABYTES CHECKPOINTS | measure ROUNDS DIRECTORY...\n", stderr);
  return 2;
}
