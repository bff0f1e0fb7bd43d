#include "agent/spawner_messages.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/bytes.h"

namespace sprite::agent {
namespace {

constexpr std::size_t head_bytes = 17;
constexpr std::size_t fds_max = 3;

void append_string(std::string& out, std::string_view text) {
  std::array<std::byte, 4> length{};
  store_little(length.data(), static_cast<std::uint32_t>(text.size()));
  out.append(as_text(length));
  out.append(text);
}

void append_strings(std::string& out, const std::vector<std::string>& list) {
  append_string(out, std::to_string(list.size()));
  for (const std::string& each : list) append_string(out, each);
}

/// Takes strings off the front of an encoded list; after a bad length everything is empty and `ok()` is false.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

  std::string take() {
    if (rest_.size() < 4) return fail();
    const auto length = load_little<std::uint32_t>(as_bytes(rest_).data());
    if (rest_.size() - 4 < length) return fail();
    std::string text(rest_.substr(4, length));
    rest_.remove_prefix(4 + length);
    return text;
  }
  std::uint64_t take_number() {
    const std::string digits = take();
    std::uint64_t value = 0;
    for (const char digit : digits) {
      if (digit < '0' || digit > '9' || digits.size() > 9) return fail(), 0;
      value = value * 10 + static_cast<std::uint64_t>(digit - '0');
    }
    return value;
  }
  std::vector<std::string> take_list() {
    std::vector<std::string> list;
    for (std::uint64_t left = take_number(); ok_ && left > 0; --left) list.push_back(take());
    return list;
  }

 private:
  std::string fail() {
    ok_ = false;
    rest_ = {};
    return {};
  }
  std::string_view rest_;
  bool ok_ = true;
};

std::vector<Fd> descriptors_of(msghdr& header) {
  std::vector<Fd> fds;
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control; control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

std::string encode(const Program& program) {
  std::string out;
  append_strings(out, program.argv);
  append_string(out, program.path);
  append_strings(out, program.environment);
  append_string(out, program.directory);
  append_string(out, program.user);
  append_string(out, program.terminal ? "1" : "0");
  append_string(out, std::to_string(program.rows));
  append_string(out, std::to_string(program.columns));
  return out;
}

Result<Program> decode_program(std::string_view text) {
  Reader reader(text);
  Program program;
  program.argv = reader.take_list();
  program.path = reader.take();
  program.environment = reader.take_list();
  program.directory = reader.take();
  program.user = reader.take();
  program.terminal = reader.take_number() != 0;
  program.rows = static_cast<std::uint16_t>(reader.take_number());
  program.columns = static_cast<std::uint16_t>(reader.take_number());
  if (!reader.ok() || !reader.at_end()) return Error{Error::Kind::corrupt, "the description of a program is damaged"};
  return program;
}

Result<> send_message(int socket, const SpawnerMessage& message, std::span<const int> fds) {
  if (fds.size() > fds_max) die("a message carries three descriptors at most");
  if (head_bytes + message.text.size() > message_bytes_max)
    return Error{Error::Kind::invalid,
                 "the command line and environment are too long",
                 "pass long input through standard input or a file",
                 {}};
  std::array<std::byte, head_bytes> head{};
  head[0] = static_cast<std::byte>(message.kind);
  store_little(&head[1], message.id);
  store_little(&head[9], static_cast<std::uint64_t>(message.number));
  std::array<iovec, 2> parts{iovec{head.data(), head.size()},
                             iovec{const_cast<char*>(message.text.data()), message.text.size()}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * fds_max)> control{};
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  while (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Error{Error::Kind::busy, "the spawner's socket is full"};
    return system_error("cannot send to the spawner");
  }
  return {};
}

Result<std::optional<ReceivedMessage>> receive_message(int socket) {
  thread_local std::array<std::byte, message_bytes_max> buffer;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * fds_max)> control{};
  iovec part{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = -1;
  while ((got = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return Error{Error::Kind::busy, "nothing has arrived"};
    if (errno == ECONNRESET) return std::optional<ReceivedMessage>{};
    return system_error("cannot receive from the spawner's socket");
  }
  std::vector<Fd> fds = descriptors_of(header);
  if (got == 0) return std::optional<ReceivedMessage>{};
  const auto size = static_cast<std::size_t>(got);
  if (size < head_bytes || (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
    return Error{Error::Kind::corrupt, "a message of the spawner is damaged"};
  ReceivedMessage received{{}, std::move(fds)};
  received.message.kind = static_cast<SpawnerMessage::Kind>(buffer[0]);
  received.message.id = load_little<std::uint64_t>(&buffer[1]);
  received.message.number = static_cast<std::int64_t>(load_little<std::uint64_t>(&buffer[9]));
  received.message.text = as_text(ByteView(buffer).subspan(head_bytes, size - head_bytes));
  return std::optional<ReceivedMessage>(std::move(received));
}

Result<std::pair<Fd, Fd>> make_message_sockets() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return system_error("cannot make a socket pair");
  std::pair<Fd, Fd> pair{Fd(ends[0]), Fd(ends[1])};
  const int bytes = 1024 * 1024;
  for (const int end : ends)
    if (::setsockopt(end, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
      (void)::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  return pair;
}

}  // namespace sprite::agent
