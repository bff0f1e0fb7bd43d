#include "nbd/late_device.h"

#include <doctest/doctest.h>

#include <thread>

using namespace sprite;
using namespace sprite::nbd;

namespace {

/// Every byte of it is the same; counts what is written.
class Uniform final : public Device {
 public:
  Uniform(std::uint64_t size_bytes, char filler) : size_bytes_(size_bytes), filler_(filler) {}
  std::uint64_t size_bytes() const override { return size_bytes_; }
  Result<> read(std::uint64_t, MutableByteView out) override {
    std::ranges::fill(out, std::byte(filler_));
    return {};
  }
  Result<> write(std::uint64_t, ByteView) override {
    while (held_) std::this_thread::yield();
    ++writes;
    return {};
  }
  Result<> flush() override { return {}; }
  Result<> trim(std::uint64_t, std::uint64_t) override { return {}; }
  Result<> write_zeroes(std::uint64_t, std::uint64_t) override { return {}; }
  Result<std::vector<Extent>> block_status(std::uint64_t, std::uint64_t length, std::size_t) override {
    return std::vector<Extent>{{.length_bytes = length}};
  }
  void hold(bool held) { held_ = held; }
  std::atomic<int> writes = 0;

 private:
  const std::uint64_t size_bytes_;
  const char filler_;
  std::atomic<bool> held_ = false;
};

char first_byte(Device& device) {
  Bytes byte(1);
  REQUIRE(device.read(0, byte));
  return static_cast<char>(byte[0]);
}

}  // namespace

TEST_CASE("a disk that is nobody's reads as zeros and takes nothing") {
  LateDevice device(4096, Writable::yes);
  CHECK(device.size_bytes() == 4096);
  CHECK(first_byte(device) == 0);
  CHECK_FALSE(device.write(0, Bytes(1)));
  CHECK_FALSE(device.trim(0, 1));
  CHECK_FALSE(device.write_zeroes(0, 1));
  CHECK(device.flush());
  const auto extents = device.block_status(0, 4096, 1);
  REQUIRE(extents);
  CHECK(extents->front().zero);
}

TEST_CASE("a disk is what was bound last, if it fits") {
  LateDevice device(4096, Writable::yes);
  REQUIRE(device.bind(std::make_shared<Uniform>(4096, 'a')));
  CHECK(first_byte(device) == 'a');
  REQUIRE(device.bind(std::make_shared<Uniform>(4096, 'b')));
  CHECK(first_byte(device) == 'b');
  CHECK_FALSE(device.bind(std::make_shared<Uniform>(8192, 'c')));
  CHECK(first_byte(device) == 'b');
}

TEST_CASE("an exchange waits for what is under way, and nothing reaches the disk before any more") {
  LateDevice device(4096, Writable::yes);
  const auto before = std::make_shared<Uniform>(4096, 'a'), after = std::make_shared<Uniform>(4096, 'b');
  REQUIRE(device.bind(before));
  before->hold(true);
  std::thread writer([&] { CHECK(device.write(0, Bytes(1))); });
  std::atomic<bool> exchanged = false;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the write is under way
  std::thread exchanger([&] {
    CHECK(device.bind(after));
    exchanged = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK_FALSE(exchanged);
  before->hold(false);
  writer.join();
  exchanger.join();
  CHECK(before->writes == 1);
  REQUIRE(device.write(0, Bytes(1)));
  CHECK(before->writes == 1);
  CHECK(after->writes == 1);
}
