#include "nbd/server.h"

#include <thread>

#include "unit/nbd/client.h"

using namespace sprite;
using namespace sprite::nbd;
using namespace sprite::nbd::test;

namespace {

Bytes pattern(std::size_t size, unsigned seed) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>((i * 7 + i / 256 + seed) & 0xff);
  return bytes;
}

constexpr std::size_t device_bytes = 40 * MiB;

}  // namespace

TEST_CASE("what is written is read, at every size and with either kind of reply") {
  for (const bool structured : {false, true}) {
    for (const bool reads_now : {true, false}) {
      auto device = std::make_shared<MemoryDevice>(device_bytes);
      device->reads_now = reads_now;
      Served served(device);
      Client client(served.path());
      client.enter(structured);
      for (const std::size_t size :
           {std::size_t{1}, std::size_t{512}, std::size_t{4096}, 300 * KiB + 1, 5 * MiB, 32 * MiB}) {
        const Bytes data = pattern(size, static_cast<unsigned>(size));
        REQUIRE(client.ask(command::write, 13, static_cast<std::uint32_t>(size), data).error == 0);
        const Reply reply = client.ask(command::read, 13, static_cast<std::uint32_t>(size));
        REQUIRE(reply.error == 0);
        REQUIRE(reply.data == data);
      }
    }
  }
}

TEST_CASE("what is only read cannot be changed by a client that tries") {
  for (const bool structured : {false, true}) {
    auto device = std::make_shared<MemoryDevice>(device_bytes);
    device->only_read = true;
    Served served(device);
    Client client(served.path());
    client.enter(structured);
    const Bytes data = pattern(4096, 1);
    CHECK(client.ask(command::write, 0, 4096, data).error == static_cast<std::uint32_t>(Errno::denied));
    CHECK(client.ask(command::trim, 0, 4096).error == static_cast<std::uint32_t>(Errno::denied));
    CHECK(client.ask(command::write_zeroes, 0, 4096).error == static_cast<std::uint32_t>(Errno::denied));
    CHECK(client.ask(command::flush, 0, 0).error == 0);
    CHECK(client.ask(command::read, 0, 4096).data == Bytes(4096));
  }
}

TEST_CASE("many requests in one packet are all answered") {
  Served served(std::make_shared<MemoryDevice>(device_bytes));
  Client client(served.path());
  client.enter();
  Bytes packet;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const Bytes data = pattern(4096, static_cast<unsigned>(i));
    const Bytes write = Client::request(command::write, i * 4096, 4096, i);
    packet.insert(packet.end(), write.begin(), write.end());
    packet.insert(packet.end(), data.begin(), data.end());
  }
  client.send(packet);
  for (std::uint64_t i = 0; i < 200; ++i) CHECK(client.reply().cookie == i);
  packet.clear();
  for (std::uint64_t i = 0; i < 200; ++i) {
    const Bytes read = Client::request(command::read, i * 4096, 4096, i);
    packet.insert(packet.end(), read.begin(), read.end());
  }
  client.send(packet);
  for (std::uint64_t i = 0; i < 200; ++i) {
    const Reply reply = client.reply();
    CHECK(reply.data == pattern(4096, static_cast<unsigned>(reply.cookie)));
  }
}

TEST_CASE("replies of several threads never mix, however large they are") {
  auto device = std::make_shared<MemoryDevice>(device_bytes);
  device->cold_from = 32 * MiB;
  const Bytes data = pattern(device_bytes, 3);
  REQUIRE(device->write(0, data));
  Served served(device);
  Client client(served.path());
  client.enter();
  constexpr std::uint64_t pairs = 60;
  std::thread sender([&] {
    for (std::uint64_t i = 0; i < pairs; ++i) {
      client.send(Client::request(command::read, 32 * MiB + i * 4096, 4096, 2 * i + 1));
      client.send(Client::request(command::read, i * 4096, 3 * MiB + 5, 2 * i));
    }
  });
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < 2 * pairs; ++i) {
    const Reply reply = client.reply();
    const std::uint64_t offset = reply.cookie / 2 * 4096 + (reply.cookie % 2 == 0 ? 0 : 32 * MiB);
    const bool right =
        !reply.closed && reply.cookie < 2 * pairs && reply.error == 0 &&
        std::equal(reply.data.begin(), reply.data.end(), data.begin() + static_cast<std::ptrdiff_t>(offset));
    wrong += !right;
    if (reply.closed) break;
  }
  sender.join();
  CHECK(wrong == 0);
}

TEST_CASE("a slow request does not hold up the others") {
  auto device = std::make_shared<MemoryDevice>(device_bytes);
  device->slow_offset = 4096;
  Served served(device);
  Client client(served.path());
  client.enter();
  client.send(Client::request(command::read, 4096, 512, 1));
  client.send(Client::request(command::read, 0, 512, 2));
  CHECK(client.reply().cookie == 2);
  device->hurry_up();
  CHECK(client.reply().cookie == 1);
}

TEST_CASE("no space is waited out and never seen") {
  auto device = std::make_shared<MemoryDevice>(device_bytes);
  device->full = 3;
  Served served(device);
  Client client(served.path());
  client.enter();
  const Bytes data = pattern(4096, 1);
  client.send(Client::request(command::write, 0, 4096, 1));
  client.send(data);
  client.send(Client::request(command::read, 8192, 512, 2));
  CHECK(client.reply().cookie == 2);  // meanwhile others are served
  const Reply written = client.reply();
  CHECK(written.cookie == 1);
  CHECK(written.error == 0);
  CHECK(client.ask(command::read, 0, 4096).data == data);
}

TEST_CASE("stopping leaves a write that waits for space unanswered, and returns") {
  auto device = std::make_shared<MemoryDevice>(device_bytes);
  device->full = 1 << 30;
  Served served(device);
  Client client(served.path());
  client.enter();
  client.send(Client::request(command::trim, 0, 4096, 1));
  while (device->full == 1 << 30) ::usleep(1000);
  const auto before = std::chrono::steady_clock::now();
  served.server().stop();
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(2));
  CHECK(client.reply().closed);
}

TEST_CASE("flush and FUA reach the device; an unreadable place is an error of that request only") {
  auto device = std::make_shared<MemoryDevice>(device_bytes);
  device->bad_offset = 512;
  Served served(device);
  Client client(served.path());
  client.enter();
  CHECK(client.ask(command::flush, 0, 0).error == 0);
  CHECK(device->flushes == 1);
  CHECK(client.ask(command::write, 0, 3, Bytes(3), command_flag::fua).error == 0);
  CHECK(client.ask(command::trim, 0, 4096, {}, command_flag::fua).error == 0);
  CHECK(client.ask(command::write_zeroes, 0, 4096, {}, command_flag::fua | command_flag::fast_zero).error == 0);
  CHECK(device->flushes == 4);
  CHECK(client.ask(command::read, 512, 512).error == static_cast<std::uint32_t>(Errno::io));
  CHECK(client.ask(command::cache, 0, 8192).error == 0);
  CHECK(client.ask(command::read, 0, 512).error == 0);
}

TEST_CASE("block status tells the device's extents, and one of them if asked so") {
  Served served(std::make_shared<MemoryDevice>(device_bytes));
  Client client(served.path());
  client.enter();
  const Reply all = client.ask(command::block_status, 0, 8192);
  REQUIRE(all.type == reply_type::block_status);
  REQUIRE(all.data.size() == 20);
  CHECK(load_big<std::uint32_t>(all.data.data()) == allocation_context_id);
  CHECK(load_big<std::uint32_t>(all.data.data() + 4) == 4096);
  CHECK(load_big<std::uint32_t>(all.data.data() + 8) == 0);
  CHECK(load_big<std::uint32_t>(all.data.data() + 16) == (extent_flag::hole | extent_flag::zero));
  CHECK(client.ask(command::block_status, 0, 8192, {}, command_flag::req_one).data.size() == 12);
  Client plain(served.path());
  plain.enter(false);
  CHECK(plain.ask(command::block_status, 0, 8192).error == static_cast<std::uint32_t>(Errno::invalid));
}

TEST_CASE("a request that a device cannot carry out is refused and does no harm") {
  struct Row {
    std::uint16_t command, flags;
    std::uint64_t offset;
    std::uint32_t length;
    Errno expected;
  };
  const Row rows[] = {
      {command::read, 0, device_bytes, 1, Errno::invalid},
      {command::read, 0, ~std::uint64_t{0}, 4096, Errno::invalid},
      {command::read, 0, device_bytes - 1, 2, Errno::invalid},
      {command::read, 0, 0, payload_bytes_max + 1, Errno::invalid},
      {command::read, command_flag::fua, 0, 512, Errno::invalid},
      {command::trim, 0, 0, ~std::uint32_t{0}, Errno::invalid},
      {command::write_zeroes, 0, 0, ~std::uint32_t{0}, Errno::no_space},
      {command::block_status, 0, 0, 0, Errno::invalid},
      {command::cache, 0, device_bytes, 1, Errno::invalid},
      {99, 0, 0, 0, Errno::invalid},
      {command::flush, 0x8000, 0, 0, Errno::invalid},
      {command::read, 0, 0, 0, Errno::none},
      {command::trim, 0, device_bytes, 0, Errno::none},
  };
  Served served(std::make_shared<MemoryDevice>(device_bytes));
  Client client(served.path());
  client.enter();
  for (const Row& row : rows) {
    CAPTURE(row.command);
    CAPTURE(row.offset);
    CHECK(client.ask(row.command, row.offset, row.length, {}, row.flags).error ==
          static_cast<std::uint32_t>(row.expected));
  }
  CHECK(client.ask(command::write, device_bytes, 512, Bytes(512)).error == static_cast<std::uint32_t>(Errno::no_space));
  CHECK(client.ask(command::read, 0, 512).error == 0);
}

TEST_CASE("malformed input ends that connection and no other") {
  Bytes wrong_magic = Client::request(command::read, 0, 512);
  wrong_magic[0] = std::byte{0};
  const Bytes in_transmission[] = {
      wrong_magic,
      Bytes(28),
      Client::request(command::write, 0, payload_bytes_max + 1),
      Client::request(command::write, 0, ~std::uint32_t{0}),
  };
  const Bytes in_handshake[] = {
      Bytes(16),
      Client::option(option::export_name, as_bytes("nonsense")),
      Client::option(option::export_name, Bytes(5000)),
      Writer().integer(option_magic).integer(option::go).integer(option_bytes_max + 1).take(),
      Writer().integer(option_magic).integer(option::go).integer(~std::uint32_t{0}).take(),
  };
  Served served(std::make_shared<MemoryDevice>(device_bytes));
  Client bystander(served.path());
  bystander.enter();
  for (const Bytes& bytes : in_transmission) {
    Client client(served.path());
    client.enter();
    client.send(bytes);
    CHECK(client.closed_by_server());
  }
  for (const Bytes& bytes : in_handshake) {
    Client client(served.path());
    client.greet();
    client.send(bytes);
    CHECK(client.closed_by_server());
  }
  Client odd_flags(served.path());
  odd_flags.receive(18);
  odd_flags.send(Writer().integer(std::uint32_t{0x80}).take());
  CHECK(odd_flags.closed_by_server());
  Client cut_short(served.path());
  cut_short.enter();
  cut_short.send(Client::request(command::write, 0, 4096));
  cut_short.leave();
  CHECK(cut_short.closed_by_server());
  CHECK(bystander.ask(command::read, 0, 512).error == 0);
}

TEST_CASE("options that make no sense are refused and the handshake goes on") {
  Served served(std::make_shared<MemoryDevice>(device_bytes));
  Client client(served.path());
  client.greet();
  struct Row {
    std::uint32_t option;
    Bytes data;
    std::uint32_t expected;
  };
  const Row rows[] = {
      {5, {}, option_reply::unsupported},  // STARTTLS
      {12345, Bytes(100), option_reply::unsupported},
      {option::list, Bytes(1), option_reply::invalid},
      {option::list, {}, option_reply::ack},
      {option::go, {}, option_reply::invalid},
      {option::go, Bytes(6, std::byte{0xff}), option_reply::invalid},
      {option::info, Client::named("other"), option_reply::unknown},
      {option::info, Client::named("disk"), option_reply::ack},
      {option::set_meta_context, Client::named("disk"), option_reply::invalid},  // before structured replies
      {option::structured_reply, Bytes(1), option_reply::invalid},
      {option::structured_reply, {}, option_reply::ack},
      {option::set_meta_context, Writer().integer(std::uint32_t{4}).text("disk").integer(~std::uint32_t{0}).take(),
       option_reply::invalid},
      {option::list_meta_context, Writer().integer(std::uint32_t{4}).text("disk").integer(std::uint32_t{0}).take(),
       option_reply::ack},
      {option::go, Client::named("disk"), option_reply::ack},
  };
  for (const Row& row : rows) {
    CAPTURE(row.option);
    client.send(Client::option(row.option, row.data));
    CHECK(client.option_reply() == row.expected);
  }
}

TEST_CASE("the oldest way in works, with and without the zeroes behind it") {
  for (const std::uint32_t flags : {1U, 3U}) {
    Served served(std::make_shared<MemoryDevice>(device_bytes));
    Client client(served.path());
    client.receive(18);
    client.send(Writer().integer(flags).take());
    client.send(Client::option(option::export_name, as_bytes("disk")));
    const Bytes answer = client.receive(flags == 3 ? 10 : 134);
    REQUIRE(answer.size() == (flags == 3 ? 10 : 134));
    CHECK(load_big<std::uint64_t>(answer.data()) == device_bytes);
    CHECK(client.ask(command::read, 0, 512).data.size() == 512);
  }
}
