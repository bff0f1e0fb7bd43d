// A seeded world: random operations on a volume, with crashes, against a model.
//
//   store_world [--plant BUG] [FIRST [LAST]]
//
// runs seeds, by default 1 to 200, and prints the first that fails and how to run it again. With a planted bug (the
// disk then behaves as if the store synced in the wrong order) it succeeds if one fails:
//   bits-before-data   a layer's block states are durable before the data that they speak of
//   rows-before-packs  volume.db names a pack before the pack is durable
//
// One seed is several rounds. In each, a process opens the volume, compares it with what the model allows after the
// round before, and goes on until it is killed, loses power (see crashing_disk.h), or ends. It crashes at a change of
// the disk that is chosen at random, or at a failpoint (failpoint.h); a run of 1000 seeds fails if it missed one. The
// last round has no crash and looks at everything: content, checkpoints, forks, files that should not be there, packs
// that nobody needs.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <cstdio>
#include <random>
#include <set>

#include "base/failpoint.h"
#include "store/checkpoint_disk.h"
#include "store/collector.h"
#include "store/volume.h"
#include "support/temporary_directory.h"
#include "world/crashing_disk.h"
#include "world/model.h"

using namespace sprite;
using namespace sprite::store;
using namespace sprite::test;

namespace {

constexpr std::uint64_t volume_bytes = 17 * MiB, sectors = volume_bytes / sector_bytes;
constexpr Value image_value = 1;

struct Operation {
  enum class Kind {
    read,
    write,
    zero,
    flush,
    cut,
    checkpoint,
    remove_checkpoint,
    restore,
    fork,
    seal,
    fold,
    drop_local,
    give_back,
    collect,
    reopen,
    count
  };
  Kind kind{};
  std::uint64_t first = 0, count = 0;  ///< sectors
  std::int64_t number = 0;             ///< checkpoint
  Value value = 0;
};
using Kind = Operation::Kind;

/// What a process tells its parent, whatever becomes of it.
struct Shared {
  bool verified, pending_happened;
  std::uint64_t begun, done, packs_rewritten;
  std::uint64_t failpoint;  ///< 1 more than that of the one at which it crashed
  char message[512];
  Value actual[sectors];
};
Shared* shared = nullptr;

[[noreturn]] void fail(const std::string& what) {
  std::snprintf(shared->message, sizeof shared->message, "%s", what.c_str());
  ::_exit(3);
}

template <class T>
T must(Result<T> result, const char* doing) {
  if (!result) fail(std::string(doing) + ": " + to_text(result.error()));
  return *std::move(result);
}
void must(Result<> result, const char* doing) {
  if (!result) fail(std::string(doing) + ": " + to_text(result.error()));
}

struct World {
  Model model{sectors};
  std::map<std::int64_t, std::vector<Value>> checkpoints{};
  std::int64_t next_checkpoint = 0;
  std::map<Value, std::vector<Value>> forks{};  ///< by the number in their directory's name
  Value next_value = 100;

  Operation next(std::mt19937_64& random);
  void apply(const Operation& operation);
};

std::uint64_t somewhere(std::mt19937_64& random) {
  constexpr std::uint64_t hot[] = {0, 15 * 2048 + 1900,
                                   16 * 2048 + 1000};  // the last lies behind a border of map nodes
  return std::min<std::uint64_t>(hot[random() % 3] + random() % 1000, sectors - 1);
}

Operation World::next(std::mt19937_64& random) {
  static constexpr int weights[] = {6, 30, 6, 12, 3, 6, 3, 3, 2, 9, 6, 3, 4, 6, 2};
  int choice = static_cast<int>(random() % 101);
  Operation operation;
  int kind = 0;
  while (choice >= weights[kind]) choice -= weights[kind++];
  operation.kind = static_cast<Kind>(kind);
  operation.first = somewhere(random);
  operation.count = std::min(random() % 3 == 0 ? random() % 400 + 1 : (random() % 6 + 1) * (random() % 2 == 0 ? 8 : 1),
                             sectors - operation.first);
  if (random() % 2 == 0) operation.first = operation.first / 8 * 8;
  if (operation.kind == Kind::zero && random() % 6 == 0) {
    operation.first = 0;
    operation.count = sectors;
  }
  if (operation.kind == Kind::write || operation.kind == Kind::fork) operation.value = next_value++;
  const bool needs_checkpoint = operation.kind == Kind::remove_checkpoint || operation.kind == Kind::restore;
  const std::uint64_t pick = random();
  if (needs_checkpoint && checkpoints.empty()) operation.kind = Kind::checkpoint;
  if (needs_checkpoint && !checkpoints.empty())
    operation.number = std::next(checkpoints.begin(), static_cast<std::ptrdiff_t>(pick % checkpoints.size()))->first;
  if (operation.kind == Kind::fork) {
    operation.number =
        checkpoints.empty() || pick % 2 == 0
            ? -1
            : std::next(checkpoints.begin(), static_cast<std::ptrdiff_t>(pick / 2 % checkpoints.size()))->first;
    if (forks.size() >= 3) operation.kind = Kind::seal;
  }
  return operation;
}

void World::apply(const Operation& operation) {
  switch (operation.kind) {
    case Kind::write:
    case Kind::zero: model.write(operation.first, operation.count, operation.value); break;
    case Kind::flush:
    case Kind::cut:
    case Kind::reopen: model.flush(); break;
    case Kind::checkpoint: {
      model.flush();
      checkpoints[next_checkpoint++] = model.current;
      break;
    }
    case Kind::remove_checkpoint: checkpoints.erase(operation.number); break;
    case Kind::restore: {
      model.flush();
      checkpoints[next_checkpoint++] = model.current;
      model.become(checkpoints[operation.number]);
      break;
    }
    case Kind::fork: {
      if (operation.number < 0) model.flush();
      forks[operation.value] = operation.number < 0 ? model.current : checkpoints[operation.number];
      break;
    }
    default: break;
  }
}

/// What one seed has on disk.
struct Place {
  Path root, runtime, log, graveyard;
  Path volume() const { return root / "sprite"; }
  Path fork(Value name) const { return root / ("fork" + std::to_string(name)); }
  Path packs() const { return root / "packs"; }
};

class Player {
 public:
  Player(const Place& place, World& world)
      : place_(place), world_(world), packs_(std::make_shared<PackStore>(place.packs())) {}

  void open() { volume_ = must(Volume::open(place_.volume(), place_.runtime, packs_), "open"); }
  void compare_after(Crash crash, const std::optional<Operation>& pending);
  void perform(const Operation& operation);
  void look_at_everything();
  Volume& volume() { return *volume_; }

 private:
  std::vector<Value> content(nbd::Device& device, std::uint64_t offset, const std::vector<Value>& expected);
  void compare_checkpoints();
  void give_back();
  void settle_pending(const Operation& pending);
  std::set<std::int64_t> checkpoint_numbers();
  Collected collect();

  const Place& place_;
  World& world_;
  std::shared_ptr<PackStore> packs_;
  std::shared_ptr<Volume> volume_;
};

std::string sector_name(std::uint64_t sector) {
  return "sector " + std::to_string(sector) + " (block " + std::to_string(sector / 8) + ")";
}

/// The value of the sector whose bytes are at `at`; bytes that are no value at all are a failure.
Value value_at(const std::byte* at, std::uint64_t sector, Value expected) {
  static constexpr std::array<std::byte, sector_bytes> zeros{};
  std::array<std::byte, sector_bytes> pattern;
  const Value value = load_little<Value>(at);
  if (value != 0) fill_sector(pattern.data(), value, sector);
  if (std::memcmp(at, value == 0 ? zeros.data() : pattern.data(), sector_bytes) != 0)
    fail(sector_name(sector) + " holds bytes that were never written there; expected value " +
         std::to_string(expected));
  return value;
}

/// The value of each sector. Read in pieces that stay in the processor's cache.
std::vector<Value> Player::content(nbd::Device& device, std::uint64_t offset, const std::vector<Value>& expected) {
  constexpr std::uint64_t piece_sectors = 512;
  static_assert(sectors % piece_sectors == 0);
  std::vector<Value> values(sectors);
  Bytes piece(piece_sectors * sector_bytes);
  for (std::uint64_t first = 0; first < sectors; first += piece_sectors) {
    must(device.read(offset + first * sector_bytes, piece), "read everything");
    for (std::uint64_t i = 0; i < piece_sectors; ++i)
      values[first + i] = value_at(piece.data() + i * sector_bytes, first + i, expected[first + i]);
  }
  return values;
}

/// As they are shown, without a restore.
void Player::compare_checkpoints() {
  for (const auto& [number, wanted] : world_.checkpoints)
    if (content(volume_->checkpoint_disk(), checkpoint_offset(number), wanted) != wanted)
      fail("checkpoint v" + std::to_string(number) + " is shown wrong");
}

std::set<std::int64_t> Player::checkpoint_numbers() {
  std::set<std::int64_t> numbers;
  for (const Checkpoint& checkpoint : must(volume_->checkpoints(), "list checkpoints"))
    numbers.insert(checkpoint.number);
  return numbers;
}

/// Finds out whether the change that the crash interrupted took place, and takes it into the model if so.
void Player::settle_pending(const Operation& pending) {
  const auto numbers = checkpoint_numbers();
  bool& happened = shared->pending_happened;
  if (pending.kind == Kind::checkpoint || pending.kind == Kind::restore)
    happened = numbers.contains(world_.next_checkpoint);
  if (pending.kind == Kind::remove_checkpoint) happened = !numbers.contains(pending.number);
  if (happened) world_.apply(pending);
}

void Player::compare_after(Crash crash, const std::optional<Operation>& pending) {
  if (pending) settle_pending(*pending);
  std::set<std::int64_t> expected;
  for (const auto& [number, ignored] : world_.checkpoints) expected.insert(number);
  if (checkpoint_numbers() != expected) fail("the list of checkpoints is wrong");
  const auto values = content(*volume_, 0, world_.model.current);
  const bool writes = pending && (pending->kind == Kind::write || pending->kind == Kind::zero);
  for (std::uint64_t sector = 0; sector < sectors; ++sector) {
    const Value value = values[sector];
    const bool in_pending =
        writes && sector >= pending->first && sector < pending->first + pending->count && value == pending->value;
    const bool allowed = crash == Crash::power ? world_.model.may_be_after_power_loss(sector, value)
                                               : value == world_.model.current[sector];
    if (!allowed && !in_pending)
      fail(sector_name(sector) + " has value " + std::to_string(value) + ", not " +
           std::to_string(world_.model.current[sector]));
  }
  compare_checkpoints();
  std::ranges::copy(values, shared->actual);
  shared->verified = true;
}

/// As a guest's requests are: what finds no space waits until there is some.
template <class Work>
auto with_patience(Work work) {
  for (;;) {
    auto result = work();
    if (result || result.error().kind != Error::Kind::no_space) return result;
  }
}

void Player::perform(const Operation& operation) {
  const std::uint64_t offset = operation.first * sector_bytes, length = operation.count * sector_bytes;
  switch (operation.kind) {
    case Kind::read: {
      Bytes bytes(length), wanted(length);
      must(volume_->read(offset, bytes), "read");
      for (std::uint64_t i = 0; i < operation.count; ++i)
        fill_sector(wanted.data() + i * sector_bytes, world_.model.current[operation.first + i], operation.first + i);
      if (bytes != wanted) fail("a read is wrong at sector " + std::to_string(operation.first));
      break;
    }
    case Kind::write: {
      Bytes bytes(length);
      for (std::uint64_t i = 0; i < operation.count; ++i)
        fill_sector(bytes.data() + i * sector_bytes, operation.value, operation.first + i);
      must(with_patience([&] { return volume_->write(offset, bytes); }), "write");
      break;
    }
    case Kind::zero: must(with_patience([&] { return volume_->trim(offset, length); }), "trim"); break;
    case Kind::flush: must(with_patience([&] { return volume_->flush(); }), "flush"); break;
    case Kind::cut: must(with_patience([&] { return volume_->cut(); }), "cut"); break;
    case Kind::checkpoint: must(with_patience([&] { return volume_->checkpoint("c"); }), "checkpoint"); break;
    case Kind::remove_checkpoint:
      must(with_patience([&] { return volume_->remove_checkpoint(operation.number); }), "remove a checkpoint");
      break;
    case Kind::restore: must(with_patience([&] { return volume_->restore(operation.number); }), "restore"); break;
    case Kind::fork: {
      const Path directory = place_.fork(operation.value);
      must(make_directories(directory), "make a fork's directory");
      must(volume_->fork(directory, operation.number < 0 ? std::nullopt : std::optional(operation.number)), "fork");
      break;
    }
    case Kind::seal: must(with_patience([&] { return volume_->seal(); }), "seal"); break;
    case Kind::fold: must(with_patience([&] { return volume_->fold(2 + operation.count % 4); }), "fold"); break;
    case Kind::drop_local: must(with_patience([&] { return volume_->drop_local(); }), "drop a layer"); break;
    case Kind::give_back: give_back(); break;
    case Kind::collect: collect(); break;
    case Kind::reopen: {
      if (operation.count % 2 == 0) must(volume_->close(), "close");
      volume_.reset();
      open();
      break;
    }
    case Kind::count: break;
  }
}

/// As the upkeep does it: when all is sealed.
void Player::give_back() {
  while (must(with_patience([&] { return volume_->seal(); }), "seal before giving back")) continue;
  must(with_patience([&] { return volume_->give_back_hidden(0); }), "give back");
  compare_checkpoints();
}

Collected Player::collect() {
  std::vector<Path> volumes{place_.volume()};
  for (const auto& [name, ignored] : world_.forks) volumes.push_back(place_.fork(name));
  const Collected collected = must(
      collect_packs(*packs_, [&] { return Result<std::vector<Path>>(volumes); }, {.sparse_percent = 80}), "collect");
  shared->packs_rewritten += collected.packs_rewritten;
  return collected;
}

void Player::look_at_everything() {
  const std::size_t needed = collect().packs_needed;
  std::size_t files_of_packs = 0;
  std::error_code no_packs_yet;
  for (const auto& each : std::filesystem::recursive_directory_iterator(place_.packs(), no_packs_yet))
    files_of_packs += each.is_regular_file() ? 1 : 0;
  if (files_of_packs != needed)
    fail("there are " + std::to_string(files_of_packs) + " files for " + std::to_string(needed) + " packs");
  const auto expect = [&](Volume& volume, const std::vector<Value>& wanted, const std::string& what) {
    if (content(volume, 0, wanted) != wanted) fail(what + " is wrong");
  };
  for (const auto& [name, wanted] : world_.forks) {
    const Path runtime = place_.runtime / ("fork" + std::to_string(name));
    must(make_directories(runtime), "make a fork's runtime directory");
    const auto fork = must(Volume::open(place_.fork(name), runtime, packs_), "open a fork");
    expect(*fork, wanted, "fork " + std::to_string(name));
  }
  const auto usage = must(volume_->usage(), "usage");
  const auto files =
      static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(place_.volume() / "layers"), {}));
  if (files != 1 + 2 * usage.layers)
    fail("there are " + std::to_string(files) + " files for " + std::to_string(usage.layers) + " layers");
  for (const auto& [number, wanted] : world_.checkpoints) {
    must(volume_->restore(number), "restore at the end");
    expect(*volume_, wanted, "checkpoint v" + std::to_string(number));
  }
}

/// Where a process is to crash, and how often it passes there before.
struct Appointment {
  Failpoint at = Failpoint::count;
  std::uint64_t passes = 0;
};
Appointment appointment;

void crash_at(Failpoint point) {
  if (point != appointment.at || appointment.passes-- > 0) return;
  shared->failpoint = static_cast<std::uint64_t>(point) + 1;
  crash_here();
}

/// One process's life. Never returns. What it does to `world` its parent does not see.
[[noreturn]] void live(const Place& place, World& world, Crash before, const std::optional<Operation>& pending,
                       Crash crash, std::uint64_t seed, int operations, bool last) {
  std::mt19937_64 random(seed);
  std::uint64_t crash_at_change = random() % (last ? 1 : 300) + 1;
  if (!last && random() % 2 == 0) {
    constexpr int enough_operations = 40;  // to come there, mostly
    appointment = {static_cast<Failpoint>(random() % disk_failpoints), random() % 2};
    crash_at_change = 0;
    operations = std::max(operations, enough_operations);
    on_failpoint(crash_at);
  }
  start_crashing_disk(place.root, place.log, place.graveyard, place.runtime, crash, crash_at_change, random());
  Player player(place, world);
  player.open();
  player.compare_after(before, pending);
  world.model.current.assign(shared->actual, shared->actual + sectors);
  std::mt19937_64 choices(seed + 1);
  const bool full_at_times = random() % 3 == 0;
  for (int i = 0; i < operations; ++i) {
    const Operation operation = world.next(choices);
    const bool may_find_no_space =
        operation.kind != Kind::fork && operation.kind != Kind::reopen && operation.kind != Kind::collect;
    set_disk_full(full_at_times && may_find_no_space ? 6 : 0);
    shared->begun = static_cast<std::uint64_t>(i) + 1;
    player.perform(operation);
    world.apply(operation);
    shared->done = shared->begun;
  }
  set_disk_full(0);
  if (last) player.look_at_everything();
  if (crash != Crash::none) crash_now();
  ::_exit(0);
}

/// The parent's view of a round that is over: takes into the model what was done, and returns what was being done.
std::optional<Operation> follow(World& world, Crash before, const std::optional<Operation>& pending,
                                std::uint64_t seed) {
  if (!shared->verified) return pending;
  if (pending && shared->pending_happened) world.apply(*pending);
  const std::vector<Value> actual(shared->actual, shared->actual + sectors);
  if (before == Crash::power) {
    world.model.become(actual);
  } else {
    for (std::uint64_t sector = 0; sector < sectors; ++sector)
      if (actual[sector] != world.model.current[sector]) world.model.write(sector, 1, actual[sector]);
  }
  std::mt19937_64 choices(seed + 1);
  std::optional<Operation> interrupted;
  for (std::uint64_t i = 0; i < shared->begun; ++i) {
    const Operation operation = world.next(choices);
    if (i < shared->done) {
      world.apply(operation);
    } else {
      interrupted = operation;
    }
  }
  return interrupted;
}

/// What a run has seen, so that nobody takes an empty one for a good one.
struct Tally {
  std::uint64_t operations = 0, ends = 0, kills = 0, power_losses = 0, in_an_operation = 0, in_open = 0,
                packs_rewritten = 0;
  std::array<std::uint64_t, disk_failpoints> at_failpoint{};
};

/// Empty if all went well, else what did not.
std::string run_seed(std::uint64_t seed, Tally& tally) {
  const TemporaryDirectory folder;
  const Place place{folder / "root", folder / "runtime", folder / "log", folder / "graveyard"};
  World world;
  for (const Path& each : {place.volume(), place.runtime, place.graveyard})
    must(make_directories(each), "make a directory");
  const Fd image = must(open_file(folder / "image", O_RDWR | O_CREAT), "make an image");
  must(::ftruncate(image.get(), volume_bytes - 65536) == 0 ? Result<>() : system_error("size"), "size the image");
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{15 * 2048 + 1900}}) {
    Bytes bytes(400 * sector_bytes);
    for (std::uint64_t i = 0; i < 400; ++i) fill_sector(bytes.data() + i * sector_bytes, image_value, first + i);
    must(pwrite_all(image.get(), bytes, first * sector_bytes), "fill the image");
    world.model.write(first, 400, image_value);
  }
  world.model.flush();
  must(Volume::create(place.volume(), folder / "image", volume_bytes), "create");

  std::mt19937_64 random(seed);
  const int rounds = static_cast<int>(random() % 3) + 2;
  Crash before = Crash::none;
  std::optional<Operation> pending;
  for (int round = 0; round < rounds; ++round) {
    const bool last = round + 1 == rounds;
    const Crash crash = last ? Crash::none : random() % 2 == 0 ? Crash::kill : Crash::power;
    const std::uint64_t round_seed = random();
    const int operations = static_cast<int>(random() % 60);
    std::memset(static_cast<void*>(shared), 0, sizeof *shared);
    const pid_t pid = ::fork();
    if (pid == 0) live(place, world, before, pending, crash, round_seed, operations, last);
    int status = 0;
    ::waitpid(pid, &status, 0);
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && crash == Crash::kill;
    const bool lost_power = WIFEXITED(status) && WEXITSTATUS(status) == power_lost_status && crash == Crash::power;
    const bool ended = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!killed && !lost_power && !ended) {
      const std::string how = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                                  : "status " + std::to_string(WEXITSTATUS(status));
      return "round " + std::to_string(round) + " (after " +
             (before == Crash::power  ? "power loss"
              : before == Crash::kill ? "kill"
                                      : "nothing") +
             "), operation " + std::to_string(shared->begun) + ": " + (shared->message[0] ? shared->message : how);
    }
    ++(crash == Crash::none ? tally.ends : crash == Crash::kill ? tally.kills : tally.power_losses);
    tally.operations += shared->done;
    tally.packs_rewritten += shared->packs_rewritten;
    tally.in_an_operation += shared->begun > shared->done ? 1 : 0;
    tally.in_open += shared->verified ? 0 : 1;
    if (shared->failpoint > 0) ++tally.at_failpoint[shared->failpoint - 1];
    pending = follow(world, before, pending, round_seed);
    if (shared->verified || lost_power) before = lost_power ? Crash::power : killed ? Crash::kill : Crash::none;
  }
  return {};
}

/// Prints how often which failpoint was crashed at; false if a long run did so nowhere at one.
bool crashed_everywhere(const Tally& tally, std::uint64_t seeds) {
  constexpr std::uint64_t enough_seeds = 1000;
  bool everywhere = true;
  for (std::size_t i = 0; i < tally.at_failpoint.size(); ++i) {
    fmt::print("{}{} {}", i == 0 ? "crashes at failpoints: " : ", ", to_string(static_cast<Failpoint>(i)),
               tally.at_failpoint[i]);
    everywhere &= tally.at_failpoint[i] > 0;
  }
  fmt::print("\n");
  if (everywhere || seeds < enough_seeds) return true;
  fmt::print("a failpoint was never crashed at\n");
  return false;
}

/// Whether all of these seeds do well; prints the first that does not.
bool run_seeds(std::uint64_t first, std::uint64_t last, const std::string& program) {
  Tally tally;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    const std::string failure = run_seed(seed, tally);
    if (failure.empty()) continue;
    fmt::print("seed {} failed: {}\nrun it again: {} {}\n", seed, failure, program, seed);
    return false;
  }
  fmt::print(
      "seeds {} to {}: all well; {} operations, {} processes that ended, {} killed, {} without power ({} of them in an"
      " operation, {} in open), {} packs rewritten\n",
      first, last, tally.operations, tally.ends, tally.kills, tally.power_losses, tally.in_an_operation, tally.in_open,
      tally.packs_rewritten);
  return crashed_everywhere(tally, last - first + 1);
}

}  // namespace

// The files lie on a tmpfs if it has room: what a disk loses without power is this program's own doing, and creating a
// file costs a tenth there.
void work_in_memory() {
  std::error_code missing;
  if (std::filesystem::space("/dev/shm", missing).available >= 256 << 20 && !missing) ::setenv("TMPDIR", "/dev/shm", 0);
}

int main(int count, char** arguments) {
  work_in_memory();
  std::vector<std::string> words(arguments, arguments + count);
  std::string program = words[0];
  bool planted = false;
  if (words.size() > 2 && words[1] == "--plant") {
    planted = plant(words[2]);
    if (!planted) {
      fmt::print(stderr, "no bug is called {}\n", words[2]);
      return 2;
    }
    program += " --plant " + words[2];
    words.erase(words.begin() + 1, words.begin() + 3);
  }
  const auto number = [&](std::size_t i) { return std::strtoull(words[i].c_str(), nullptr, 10); };
  const std::uint64_t first = words.size() > 1 ? number(1) : 1;
  const std::uint64_t last = words.size() > 2 ? number(2) : words.size() > 1 ? first : 200;
  shared =
      static_cast<Shared*>(::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const bool well = run_seeds(first, last, program);
  return well == planted ? 1 : 0;
}
