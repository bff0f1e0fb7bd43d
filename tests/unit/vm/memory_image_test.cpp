/// Memory images: whole or not there, verified byte by byte, used once.
#include "vm/memory_image.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>

#include "vm/memory_copy.h"

using namespace sprite;
using namespace sprite::vm;

namespace {

constexpr std::uint64_t memory_bytes = 10 * MiB;

/// A folder with a memory file: a page of ones at 1 MiB, another at the very end, a page of explicit zeros at 6 MiB.
struct Place {
  Path directory;
  Place() {
    std::string pattern = "/tmp/sprite-image-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    directory = pattern;
    const Fd file = *open_file(memory_file(), O_RDWR | O_CREAT);
    REQUIRE(::ftruncate(file.get(), memory_bytes) == 0);
    const Bytes ones(4 * KiB, std::byte{1}), zeros(4 * KiB);
    REQUIRE(pwrite_all(file.get(), ones, 1 * MiB));
    REQUIRE(pwrite_all(file.get(), ones, memory_bytes - 4 * KiB));
    REQUIRE(pwrite_all(file.get(), zeros, 6 * MiB));
  }
  ~Place() { (void)remove_tree(directory); }
  Path memory_file() const { return directory / "machine.ram"; }
  Path filled() const { return directory / "filled.ram"; }
  Path image() const { return directory / "memory"; }
};

struct Removed {
  Path directory;
  ~Removed() { (void)remove_tree(directory); }
};

MemoryStamp stamp() {
  return {.machine = {.qemu_version = "7.2.22",
                      .machine_type = "pc-q35-7.2",
                      .accelerator = "emulation",
                      .cpu = "Some CPU (01234567)",
                      .devices = "89abcdef",
                      .memory_bytes = memory_bytes,
                      .vcpus = 2},
          .image = "0123456789abcdef",
          .agent_version = "0.1.0",
          .disk = "layer-1"};
}

const std::atomic<bool> go_on = false;

void write_image(const Place& place) {
  auto writer = MemoryImageWriter::begin(place.image());
  REQUIRE(writer);
  REQUIRE(write_file_atomically(writer->state(), "the state of devices"));
  auto written = writer->copy(place.memory_file(), stamp(), go_on);
  if (written) written = writer->publish();
  REQUIRE_MESSAGE(written, (written ? "" : to_text(written.error())));
}

std::string bytes_of(const Path& file) { return *read_file(file); }

void flip_byte(const Path& file, std::uint64_t offset) {
  const Fd fd = *open_file(file, O_RDWR);
  Bytes byte(1);
  REQUIRE(pread_exactly(fd.get(), byte, offset));
  byte[0] ^= std::byte{0x10};
  REQUIRE(pwrite_all(fd.get(), byte, offset));
}

}  // namespace

TEST_CASE("a memory image gives back the memory, and takes no room for its zeros") {
  const Place place;
  CHECK_FALSE(*open_memory_image(place.image()));
  write_image(place);
  const auto image = open_memory_image(place.image());
  REQUIRE(image);
  REQUIRE(*image);
  CHECK((*image)->stamp == stamp());
  CHECK((*image)->ram_data_bytes == 8 * KiB);
  CHECK(bytes_of((*image)->state()) == "the state of devices");
  REQUIRE(fill_memory(**image, place.filled(), go_on));
  CHECK(bytes_of(place.filled()) == bytes_of(place.memory_file()));
  for (const Path& file : {(*image)->ram(), place.filled()}) {
    const Fd fd = *open_file(file, O_RDONLY);
    CHECK(::lseek(fd.get(), 0, SEEK_DATA) == 1 * MiB);
    CHECK(::lseek(fd.get(), 6 * MiB, SEEK_DATA) == memory_bytes - 4 * KiB);
  }
}

TEST_CASE("a damaged memory image is refused, with what is wrong") {
  const Place place;
  write_image(place);
  std::string expected;
  SUBCASE("RAM: a flipped bit") {
    flip_byte(place.image() / "ram", 1 * MiB + 100);
    expected = "wrong checksum at 0 MiB";
  }
  SUBCASE("RAM: a lost page") {
    const Fd ram = *open_file(place.image() / "ram", O_RDWR);
    REQUIRE(pwrite_all(ram.get(), Bytes(4 * KiB), memory_bytes - 4 * KiB));
    expected = "wrong checksum at 8 MiB";
  }
  SUBCASE("RAM: a page that was none") {
    flip_byte(place.image() / "ram", 6 * MiB);
    expected = "wrong checksum at 4 MiB";
  }
  SUBCASE("RAM: truncated") {
    std::filesystem::resize_file(place.image() / "ram", memory_bytes - 1);
    expected = "memory has 10485759 bytes";
  }
  SUBCASE("RAM: absent") {
    std::filesystem::remove(place.image() / "ram");
    expected = "is missing";
  }
  SUBCASE("state: a flipped bit") {
    flip_byte(place.image() / "state", 3);
    expected = "state has a wrong checksum";
  }
  SUBCASE("state: truncated") {
    std::filesystem::resize_file(place.image() / "state", 5);
    expected = "state has 5 bytes";
  }
  SUBCASE("stamp: absent") {
    std::filesystem::remove(place.image() / "stamp");
    expected = "no stamp";
  }
  SUBCASE("stamp: no file, which would let its reader wait") {
    std::filesystem::remove(place.image() / "stamp");
    REQUIRE(::mkfifo((place.image() / "stamp").c_str(), 0600) == 0);
    expected = "is not a regular file";
  }
  SUBCASE("stamp: truncated") {
    std::filesystem::resize_file(place.image() / "stamp", 40);
    expected = "cannot be read";
  }
  SUBCASE("stamp: of a later version") {
    std::string text = bytes_of(place.image() / "stamp");
    text.replace(text.find("\"version\":2"), 11, "\"version\":3");
    REQUIRE(write_file_atomically(place.image() / "stamp", text));
    expected = "version 3";
  }
  const auto image = open_memory_image(place.image());
  const auto filled = image ? fill_memory(**image, place.filled(), go_on) : Result<>(image.error());
  REQUIRE_FALSE(filled);
  CHECK(filled.error().kind == Error::Kind::corrupt);
  CHECK_MESSAGE(to_text(filled.error()).find(expected) != std::string::npos, to_text(filled.error()));
  CHECK_FALSE(std::filesystem::exists(place.filled()));
}

TEST_CASE("a refusal takes a moment, however much memory there is") {
  constexpr std::uint64_t bytes = 512 * MiB, data_bytes = 128 * MiB;
  std::string pattern = "/dev/shm/sprite-image-XXXXXX";
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  const Removed removed{pattern};
  const Path directory = pattern, image = directory / "memory";
  MemoryStamp wanted = stamp();
  wanted.machine.memory_bytes = bytes;
  {
    const Fd file = *open_file(directory / "machine.ram", O_RDWR | O_CREAT);
    REQUIRE(::ftruncate(file.get(), static_cast<off_t>(bytes)) == 0);
    const Bytes ones(data_bytes, std::byte{1});
    REQUIRE(pwrite_all(file.get(), ones, bytes - data_bytes));
    auto writer = MemoryImageWriter::begin(image);
    REQUIRE(writer);
    REQUIRE(write_file_atomically(writer->state(), std::string(800 * KiB, 's')));
    REQUIRE(writer->copy(directory / "machine.ram", wanted, go_on));
    REQUIRE(writer->publish());
  }
  /// Until a wake has refused it, at best of some attempts.
  const auto refusal_ms = [&] {
    double best_ms = 1e9;
    for (int attempt = 0; attempt < 5; ++attempt) {
      const auto begin = std::chrono::steady_clock::now();
      const auto opened = open_memory_image(image);
      const bool refused = !opened || !difference((*opened)->stamp, wanted).empty() ||
                           !fill_memory(**opened, directory / "filled.ram", go_on);
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
      CHECK(refused);
      best_ms = std::min(best_ms, took.count());
    }
    return best_ms;
  };
  constexpr double limit_ms = 50;
  SUBCASE("another QEMU") {
    wanted.machine.qemu_version = "8";
    CHECK(refusal_ms() < limit_ms);
  }
  SUBCASE("another image") {
    wanted.image = "other";
    CHECK(refusal_ms() < limit_ms);
  }
  SUBCASE("another agent") {
    wanted.agent_version = "9";
    CHECK(refusal_ms() < limit_ms);
  }
  SUBCASE("another size of memory") {
    wanted.machine.memory_bytes = 1024 * MiB;
    CHECK(refusal_ms() < limit_ms);
  }
  SUBCASE("another disk") {
    wanted.disk = "layer-2";
    CHECK(refusal_ms() < limit_ms);
  }
  SUBCASE("a truncated RAM") {
    REQUIRE(::truncate((image / "ram").c_str(), static_cast<off_t>(bytes - 4 * KiB)) == 0);
    CHECK(refusal_ms() < limit_ms);
  }
  SUBCASE("a truncated state") {
    REQUIRE(::truncate((image / "state").c_str(), 1000) == 0);
    CHECK(refusal_ms() < limit_ms);
  }
  SUBCASE("a damaged state") {
    const Fd file = *open_file(image / "state", O_RDWR);
    REQUIRE(pwrite_all(file.get(), as_bytes("x"), 799 * KiB));
    CHECK(refusal_ms() < limit_ms);
  }
  SUBCASE("a damaged last page") {
    const auto whole = open_memory_image(image);
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE(fill_memory(**whole, directory / "filled.ram", go_on));
    const std::chrono::duration<double, std::milli> filled = std::chrono::steady_clock::now() - begin;
    const Fd file = *open_file(image / "ram", O_RDWR);
    REQUIRE(pwrite_all(file.get(), as_bytes("x"), bytes - 1));
    const double took_ms = refusal_ms();
    MESSAGE("a damaged last page of 128 MiB was noticed after " << took_ms << " ms");
    CHECK(took_ms < std::max(limit_ms, filled.count()));  // on a busy machine, or with sanitizers
  }
}

TEST_CASE("memory that is damaged at its very end reaches no machine") {
  const Place place;
  write_image(place);
  flip_byte(place.image() / "ram", memory_bytes - 1);
  const Fd machine = *open_file(place.filled(), O_RDWR | O_CREAT);
  REQUIRE(::ftruncate(machine.get(), memory_bytes) == 0);
  const auto image = open_memory_image(place.image());
  REQUIRE(image);
  CHECK_FALSE(fill_memory(**image, place.filled(), go_on));
  CHECK(::lseek(machine.get(), 0, SEEK_DATA) < 0);
}

TEST_CASE("of what a memory file held before, nothing is left") {
  const Place place;
  write_image(place);
  REQUIRE(write_file_atomically(place.filled(), std::string(memory_bytes, 'b')));
  const auto image = open_memory_image(place.image());
  REQUIRE(image);
  REQUIRE(fill_memory(**image, place.filled(), go_on));
  CHECK(bytes_of(place.filled()) == bytes_of(place.memory_file()));
  const Fd filled = *open_file(place.filled(), O_RDONLY);
  CHECK(::lseek(filled.get(), 0, SEEK_DATA) == 1 * MiB);
  CHECK(::lseek(filled.get(), 1 * MiB, SEEK_HOLE) == 1 * MiB + 4 * KiB);
}

TEST_CASE("any flipped bit of a stamp is noticed") {
  const Place place;
  write_image(place);
  const std::string whole = bytes_of(place.image() / "stamp");
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) {  // but the line break at its end
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    REQUIRE(write_file_atomically(place.image() / "stamp", damaged));
    const auto image = open_memory_image(place.image());
    const bool noticed = !image || !*image || !difference((*image)->stamp, stamp()).empty() ||
                         !fill_memory(**image, place.filled(), go_on) ||
                         (*image)->ram_data_bytes != 8 * KiB;  // for people only
    ::unlink(place.filled().c_str());
    CHECK_MESSAGE(noticed, "byte ", i, ": ", damaged.substr(i > 10 ? i - 10 : 0, 20));
  }
}

TEST_CASE("what differs between stamps is said") {
  const auto with = [](auto change) {
    MemoryStamp changed = stamp();
    change(changed);
    return difference(stamp(), changed);
  };
  CHECK(difference(stamp(), stamp()).empty());
  CHECK(with([](auto& s) { s.machine.qemu_version = "8.0.0"; }) == "QEMU was 7.2.22 and is 8.0.0");
  CHECK(with([](auto& s) { s.machine.machine_type = "pc-q35-8.0"; }) ==
        "the machine type was pc-q35-7.2 and is pc-q35-8.0");
  CHECK(with([](auto& s) { s.machine.accelerator = "kvm"; }) == "the accelerator was emulation and is kvm");
  CHECK(with([](auto& s) { s.machine.cpu = "Other"; }) == "the host's CPU was Some CPU (01234567) and is Other");
  CHECK(with([](auto& s) { s.machine.devices = "0"; }) == "the set of devices was 89abcdef and is 0");
  CHECK(with([](auto& s) { s.machine.memory_bytes = 20 * MiB; }) == "its memory was 10 MiB and is 20 MiB");
  CHECK(with([](auto& s) { s.machine.vcpus = 4; }) == "its number of processors was 2 and is 4");
  CHECK(with([](auto& s) { s.image = "fedcba9876543210"; }) == "its image was 0123456789ab and is fedcba987654");
  CHECK(with([](auto& s) { s.agent_version = "0.2.0"; }) == "its agent was 0.1.0 and is 0.2.0");
  CHECK(with([](auto& s) { s.disk = "layer-2"; }) == "its disk is another one, or was changed since");
}

TEST_CASE("an image that was not finished is none, and one that was replaces the one before") {
  const Place place;
  SUBCASE("given up") {
    { const auto writer = MemoryImageWriter::begin(place.image()); }
    CHECK(std::distance(std::filesystem::directory_iterator(place.directory), {}) == 1);
  }
  SUBCASE("cancelled") {
    auto writer = MemoryImageWriter::begin(place.image());
    REQUIRE(write_file_atomically(writer->state(), "state"));
    const std::atomic<bool> cancelled = true;
    CHECK(writer->copy(place.memory_file(), stamp(), cancelled).error().kind == Error::Kind::busy);
  }
  SUBCASE("left by a crash") {
    REQUIRE(make_directories(place.image().string() + ".new-1"));
    REQUIRE(write_file_atomically(place.image().string() + ".new-1/stamp", "{}"));
    REQUIRE(remove_memory_remnants(place.image()));
  }
  CHECK_FALSE(*open_memory_image(place.image()));
  write_image(place);
  write_image(place);
  CHECK(*open_memory_image(place.image()));
  CHECK_FALSE(std::filesystem::exists(place.image().string() + ".used"));
}

TEST_CASE("an image that is consumed is there no more") {
  const Place place;
  write_image(place);
  const auto image = open_memory_image(place.image());
  REQUIRE(consume_memory_image(place.image()));
  CHECK_FALSE(*open_memory_image(place.image()));
  CHECK_FALSE(fill_memory(**image, place.filled(), go_on));
  REQUIRE(remove_memory_remnants(place.image()));
  CHECK_FALSE(std::filesystem::exists(place.image().string() + ".used"));
}

TEST_CASE("a linked image has the same memory for another instant, and outlives the first") {
  const Place place;
  write_image(place);
  const Path second = place.directory / "second";
  {
    auto writer = MemoryImageWriter::begin(place.directory / "being-made");
    REQUIRE(writer);
    const auto first = open_memory_image(place.image());
    REQUIRE(*first);
    CHECK_FALSE((*first)->is_kept);
    REQUIRE(writer->link(**first, "layer-2"));
    CHECK_FALSE(*open_memory_image(second));
    REQUIRE(writer->publish_as(second));
  }
  REQUIRE(consume_memory_image(place.image()));
  REQUIRE(remove_memory_remnants(place.image()));
  const auto linked = open_memory_image(second);
  REQUIRE(*linked);
  CHECK((*linked)->is_kept);
  CHECK(difference((*linked)->stamp, stamp()) == "its disk is another one, or was changed since");
  REQUIRE(fill_memory(**linked, place.filled(), go_on));
  CHECK(bytes_of(place.filled()) == bytes_of(place.memory_file()));
}

TEST_CASE("an image that is finished later holds the memory as it was when it was copied") {
  const Place place;
  auto writer = MemoryImageWriter::begin(place.image());
  REQUIRE(writer);
  REQUIRE(write_file_atomically(writer->state(), "the state of devices"));
  REQUIRE(writer->copy_ram(place.memory_file(), memory_bytes, go_on));
  const std::string before = bytes_of(place.memory_file());
  flip_byte(place.memory_file(), 1 * MiB);
  REQUIRE(writer->finish(stamp()));
  REQUIRE(writer->publish());
  const auto image = open_memory_image(place.image());
  REQUIRE(*image);
  REQUIRE(fill_memory(**image, place.filled(), go_on));
  CHECK(bytes_of(place.filled()) == before);
}

TEST_CASE("memory goes from one memory file to another, without its zeros") {
  const Place place;
  const Fd empty = *open_file(place.filled(), O_RDWR | O_CREAT);
  REQUIRE(::ftruncate(empty.get(), memory_bytes) == 0);
  REQUIRE(copy_memory_file(place.memory_file(), place.filled(), go_on));
  CHECK(bytes_of(place.filled()) == bytes_of(place.memory_file()));
  CHECK(::lseek(empty.get(), 0, SEEK_DATA) == 1 * MiB);
  const std::atomic<bool> cancelled = true;
  const auto given_up = copy_memory_file(place.memory_file(), place.filled(), cancelled);
  REQUIRE_FALSE(given_up);
  CHECK(given_up.error().kind == Error::Kind::busy);
}
