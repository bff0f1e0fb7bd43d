#pragma once
/// A small NBD client, and a server on a socket of the test's own.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include <doctest/doctest.h>

#include "nbd/server.h"
#include "support/temporary_directory.h"

namespace sprite::nbd::test {

/// A device in memory that can be told to misbehave.
class MemoryDevice final : public Device {
 public:
  explicit MemoryDevice(std::size_t size) : bytes_(size) {}
  std::uint64_t size_bytes() const override { return bytes_.size(); }
  bool read_only() const override { return only_read; }
  Result<> read(std::uint64_t offset, MutableByteView out) override {
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [&] { return offset != slow_offset; });
    if (offset == bad_offset) return Error{Error::Kind::corrupt, "bad"};
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }
  bool read_now(std::uint64_t offset, MutableByteView out) override {
    if (offset == slow_offset || offset == bad_offset || offset >= cold_from || !reads_now) return false;
    std::lock_guard hold(mutex_);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return true;
  }
  Result<> write(std::uint64_t offset, ByteView data) override {
    if (full > 0) return --full, Error{Error::Kind::no_space, "full"};
    std::lock_guard hold(mutex_);
    std::ranges::copy(data, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  Result<> flush() override { return ++flushes, Result<>(); }
  Result<> trim(std::uint64_t offset, std::uint64_t length) override { return write(offset, Bytes(length)); }
  Result<> write_zeroes(std::uint64_t offset, std::uint64_t length) override { return write(offset, Bytes(length)); }
  Result<std::vector<Extent>> block_status(std::uint64_t, std::uint64_t length, std::size_t most) override {
    if (most == 1 || length < 2) return std::vector{Extent{length, false, false}};
    return std::vector{Extent{length / 2, false, false}, Extent{length - length / 2, true, true}};
  }
  void hurry_up() {
    std::lock_guard hold(mutex_);
    slow_offset = nowhere;
    changed_.notify_all();
  }

  static constexpr std::uint64_t nowhere = ~std::uint64_t{0};
  std::atomic<std::uint64_t> slow_offset = nowhere, bad_offset = nowhere, cold_from = nowhere;
  std::atomic<int> full = 0, flushes = 0;
  std::atomic<bool> reads_now = true, only_read = false;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Bytes bytes_;
};

/// What a server said to one request.
struct Reply {
  bool closed = false;
  std::uint64_t cookie = 0;
  std::uint32_t error = 0;
  std::uint16_t type = 0;
  Bytes data{};
};

class Client {
 public:
  explicit Client(const std::filesystem::path& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    REQUIRE(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const timeval limit{10, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  void send(ByteView bytes) { (void)::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  /// `count` bytes; fewer if the server closed the connection.
  Bytes receive(std::size_t count) {
    Bytes bytes(count);
    const ssize_t got = count == 0 ? 0 : ::recv(socket_.get(), bytes.data(), count, MSG_WAITALL);
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }
  bool closed_by_server() {
    std::byte byte;
    return ::recv(socket_.get(), &byte, 1, 0) == 0;
  }
  static Bytes option(std::uint32_t number, ByteView data = {}) {
    return Writer()
        .integer(option_magic)
        .integer(number)
        .integer(static_cast<std::uint32_t>(data.size()))
        .raw(data)
        .take();
  }
  static Bytes named(const std::string& name) {
    return Writer().integer(static_cast<std::uint32_t>(name.size())).text(name).integer(std::uint16_t{0}).take();
  }
  /// The type of the last reply to an option.
  std::uint32_t option_reply() {
    for (;;) {
      const Bytes header = receive(20);
      if (header.size() < 20) return 0;
      receive(load_big<std::uint32_t>(header.data() + 16));
      const auto type = load_big<std::uint32_t>(header.data() + 12);
      if (type == option_reply::ack || type >= 0x80000000U) return type;
    }
  }
  void greet() {
    receive(18);
    send(Writer().integer(std::uint32_t{3}).take());
  }
  void enter(bool structured = true, const std::string& name = "disk") {
    greet();
    structured_ = structured;
    if (structured) {
      send(option(option::structured_reply));
      REQUIRE(option_reply() == option_reply::ack);
      const Bytes query = Writer()
                              .integer(static_cast<std::uint32_t>(name.size()))
                              .text(name)
                              .integer(std::uint32_t{1})
                              .integer(static_cast<std::uint32_t>(allocation_context.size()))
                              .text(allocation_context)
                              .take();
      send(option(option::set_meta_context, query));
      REQUIRE(option_reply() == option_reply::ack);
    }
    send(option(option::go, named(name)));
    REQUIRE(option_reply() == option_reply::ack);
  }
  static Bytes request(std::uint16_t command, std::uint64_t offset, std::uint32_t length, std::uint64_t cookie = 7,
                       std::uint16_t flags = 0) {
    return Writer()
        .integer(request_magic)
        .integer(flags)
        .integer(command)
        .integer(cookie)
        .integer(offset)
        .integer(length)
        .take();
  }
  /// The next reply; `length` is what a successful read carries.
  Reply reply(std::size_t length = 0) {
    const Bytes header = receive(structured_ ? structured_reply_bytes : simple_reply_bytes);
    if (header.size() < simple_reply_bytes) return {.closed = true};
    Reply reply;
    reply.cookie = load_big<std::uint64_t>(header.data() + 8);
    if (!structured_) {
      reply.error = load_big<std::uint32_t>(header.data() + 4);
      if (reply.error == 0) reply.data = receive(length);
      return reply;
    }
    reply.type = load_big<std::uint16_t>(header.data() + 6);
    reply.data = receive(load_big<std::uint32_t>(header.data() + 16));
    if (reply.type == reply_type::error) reply.error = load_big<std::uint32_t>(reply.data.data());
    if (reply.type == reply_type::offset_data) reply.data.erase(reply.data.begin(), reply.data.begin() + 8);
    return reply;
  }
  Reply ask(std::uint16_t command, std::uint64_t offset, std::uint32_t length, ByteView payload = {},
            std::uint16_t flags = 0) {
    Bytes bytes = request(command, offset, length, 7, flags);
    bytes.insert(bytes.end(), payload.begin(), payload.end());
    send(bytes);
    return reply(command == command::read ? length : 0);
  }
  void leave() { ::shutdown(socket_.get(), SHUT_WR); }

 private:
  Fd socket_;
  bool structured_ = false;
};

/// A server of one device called "disk".
class Served {
 public:
  explicit Served(std::shared_ptr<Device> device) {
    Fd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path().c_str());
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket.get(), 16) == 0);
    auto started = Server::start(
        std::move(socket), [device](const std::string& name) { return name == "disk" ? device : nullptr; },
        [] { return std::vector<std::string>{"disk"}; });
    REQUIRE(started);
    server_ = *std::move(started);
  }
  std::filesystem::path path() const { return folder_ / "socket"; }
  Server& server() { return *server_; }

 private:
  sprite::test::TemporaryDirectory folder_;
  std::unique_ptr<Server> server_;
};

}  // namespace sprite::nbd::test
