#include "sprite/checkpoints.h"

#include "sprite/filesystem.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/fd.h"
#include "base/text.h"
#include "store/volume.h"

using namespace sprite;

namespace {

/// A volume in a folder of its own.
class World {
 public:
  World() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sprite-history.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()));
    folder_ = pattern;
    for (const char* part : {"volume", "runtime"}) ::mkdir((folder_ / part).c_str(), 0700);
    {
      const auto base = open_file(folder_ / "base.img", O_RDWR | O_CREAT);
      REQUIRE(base);
      REQUIRE(::ftruncate(base->get(), 1 * MiB) == 0);
    }
    REQUIRE(store::Volume::create(folder_ / "volume", folder_ / "base.img", 1 * MiB));
    auto opened = store::Volume::open(folder_ / "volume", folder_ / "runtime");
    REQUIRE(opened);
    volume_ = *std::move(opened);
  }
  ~World() {
    volume_.reset();
    std::filesystem::remove_all(folder_);
  }

  store::Volume& volume() { return *volume_; }
  /// Read while the volume is open, as the daemon does.
  store::History history() {
    auto read = store::read_history(folder_ / "volume");
    REQUIRE(read);
    return *std::move(read);
  }
  /// "v1<v0" for each, in the list's order.
  std::string shown() {
    std::vector<std::string> words;
    for (const wire::Checkpoint& each : list_of(history()))
      words.push_back(each.id + "<" + each.source_id.value_or(""));
    return join(words, " ");
  }

 private:
  Path folder_;
  std::shared_ptr<store::Volume> volume_;
};

}  // namespace

TEST_CASE("a checkpoint knows after which one it came, over restores and deletions") {
  World world;
  CHECK(world.shown() == "Current<");
  REQUIRE(world.volume().checkpoint("first"));
  REQUIRE(world.volume().checkpoint(""));
  CHECK(world.shown() == "v0< v1<v0 Current<v1");
  REQUIRE(world.volume().cut());  // a cut in between is nobody's business
  REQUIRE(world.volume().checkpoint(""));
  CHECK(world.shown() == "v0< v1<v0 v2<v1 Current<v2");

  const auto before = world.volume().restore(0);
  REQUIRE(before);
  const std::string automatic = name_of(*before);
  CHECK(automatic == "auto-0");
  CHECK(world.shown() == "v0< v1<v0 v2<v1 " + automatic + "<v2 Current<v0");

  REQUIRE(world.volume().remove_checkpoint(1));
  CHECK(world.shown() == "v0< v2<v0 " + automatic + "<v2 Current<v0");

  REQUIRE(world.volume().checkpoint(""));  // one that we made uses up none of the user's numbers
  CHECK(world.shown() == "v0< v2<v0 " + automatic + "<v2 v3<v0 Current<v3");
}

TEST_CASE("a history goes back to the first") {
  World world;
  for (int i = 0; i < 3; ++i) REQUIRE(world.volume().checkpoint("number " + std::to_string(i)));
  const auto all = list_of(world.history());
  REQUIRE(all.size() == 4);
  CHECK_FALSE(all[0].history);
  CHECK(*all[2].history == std::vector<std::string>{"v1", "v0"});
  CHECK(*all[3].history == std::vector<std::string>{"v2", "v1", "v0"});
  CHECK(all[1].comment == "number 1");
  CHECK_FALSE(all[3].is_auto);
}

TEST_CASE("a checkpoint is found by its id, and only by it") {
  World world;
  REQUIRE(world.volume().checkpoint(""));
  REQUIRE(world.volume().restore(0));
  const store::History history = world.history();
  const auto found = find_checkpoint(history, "v0");
  REQUIRE(found);
  CHECK(found->number == 0);
  for (const char* wrong : {"v1", "0", "auto-1", "v00", "V0", ""}) {
    CAPTURE(wrong);
    const auto none = find_checkpoint(history, wrong);
    REQUIRE_FALSE(none);
    CHECK(none.error().kind == Error::Kind::not_found);
  }
  CHECK(find_checkpoint(history, "Current").error().kind == Error::Kind::invalid);
}

TEST_CASE("there is room for a thousand checkpoints, automatic ones not counted") {
  store::History history;
  history.entries.resize(999);
  store::HistoryEntry automatic;
  automatic.checkpoint.automatic = store::Automatic::yes;
  for (int i = 0; i < 5; ++i) history.entries.push_back(automatic);
  CHECK(check_room(history, "box"));
  history.entries.emplace_back();
  const auto full = check_room(history, "box");
  REQUIRE_FALSE(full);
  CHECK(full.error().kind == Error::Kind::no_space);
  CHECK(full.error().hint.find("sprite checkpoint delete -s box") != std::string::npos);
}

TEST_CASE("a long history is told as far as a hundred back") {
  store::History history;
  for (std::int64_t i = 0; i < 300; ++i) {
    store::HistoryEntry& entry = history.entries.emplace_back();
    entry.checkpoint.number = entry.checkpoint.ordinal = i;
    if (i > 0) entry.source = i - 1;
  }
  history.current = 299;
  const auto all = list_of(history);
  CHECK(all[50].history->size() == 50);
  CHECK(all.back().history->size() == history_max);
  CHECK(all.back().history->front() == "v299");
}

TEST_CASE("a machine shows the newest five that people made") {
  World world;
  for (int i = 0; i < 4; ++i) REQUIRE(world.volume().checkpoint(""));
  REQUIRE(world.volume().restore(1));
  for (int i = 0; i < 3; ++i) REQUIRE(world.volume().checkpoint(""));
  std::string shown;
  for (const auto& each : shown_of(world.history()))
    shown += each.id + "@" + std::to_string(each.offset_bytes >> 40) + " ";
  CHECK(shown == "v6@8 v5@7 v4@6 v3@4 v2@3 ");
}

TEST_CASE("what is compared: the one before by default, the present disk without a second") {
  World world;
  const auto compared = [&](const std::string& from, const std::string& to) {
    const auto request = difference_between(world.history(), from, to);
    if (!request) return std::string(request.error().kind == Error::Kind::not_found ? "unknown" : "refused");
    return request->from.id + ".." + (request->to ? request->to->id : "now");
  };
  CHECK(compared("", "") == "unknown");
  for (int i = 0; i < 3; ++i) REQUIRE(world.volume().checkpoint(""));
  CHECK(compared("", "") == "v2..now");
  CHECK(compared("v0", "") == "v0..now");
  CHECK(compared("v0", "Current") == "v0..now");
  CHECK(compared("", "v2") == "v1..v2");
  CHECK(compared("v2", "v0") == "v2..v0");
  CHECK(compared("", "v0") == "unknown");
  CHECK(compared("Current", "v0") == "refused");
  CHECK(compared("v9", "") == "unknown");
  CHECK(compared("", "v9") == "unknown");
  REQUIRE(world.volume().restore(0));
  CHECK(compared("", "") == "v0..now");
  CHECK(compared("auto-0", "v1") == "auto-0..v1");
}

TEST_CASE("a checkpoint whose journal is to be replayed is marked") {
  World world;
  Bytes superblock(1024);
  store_little(superblock.data() + 0x38, std::uint16_t{0xef53});
  REQUIRE(world.volume().write(1024, superblock));
  CHECK(*consistency_of(world.volume()) == store::Consistency::at_rest);
  REQUIRE(world.volume().checkpoint("", store::Automatic::no, *consistency_of(world.volume())));
  store_little(superblock.data() + 0x60, std::uint32_t{0x2c6});
  REQUIRE(world.volume().write(1024, superblock));
  CHECK(*consistency_of(world.volume()) == store::Consistency::crash);
  REQUIRE(world.volume().checkpoint("", store::Automatic::no, *consistency_of(world.volume())));
  REQUIRE(world.volume().restore(0, *consistency_of(world.volume())));
  const auto all = list_of(world.history());
  REQUIRE(all.size() == 4);
  CHECK_FALSE(all[0].crash_consistent);
  CHECK(all[1].crash_consistent == true);
  CHECK(all[2].crash_consistent == true);  // the safety checkpoint
  CHECK_FALSE(all[3].crash_consistent);
}
