#pragma once
/// What the agent and the spawner say to each other: one datagram each over a SOCK_SEQPACKET socket pair, descriptors
/// beside it. Layout of a datagram: kind (1 byte), id (8), number (8), then `text`; integers little-endian. Lists of
/// strings inside `text` are a 4-byte length and the bytes each. Both ends are the same program, so there is no
/// version.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace sprite::agent {

/// A datagram never exceeds this; a longer command line or environment is refused.
constexpr std::size_t message_bytes_max = 192 * KiB;

/// A program to start in the inner container.
struct Program {
  std::vector<std::string> argv{};  ///< Empty: the user's login shell.
  std::string path{};               ///< What to execute when it is not argv[0]; without a slash looked up in PATH.
  std::vector<std::string> environment{};  ///< "K=V" over the login environment; the last of a key counts.
  std::string directory{};                 ///< Empty: the user's home.
  std::string user{};                      ///< Empty: the spawner's default user.
  bool terminal = false;
  std::uint16_t rows = 24, columns = 80;
};

struct SpawnerMessage {
  enum class Kind : std::uint8_t {
    // to the spawner
    start,       ///< text: a Program; descriptors: stdin, stdout, stderr, unless it has a terminal.
    signal,      ///< number: the signal, for the process group of program `id`.
    signal_all,  ///< The same for every process of the session of program `id`.
    terminate,   ///< SIGTERM to every program.
    // from the spawner
    ready,       ///< The container is up.
    started,     ///< number: the pid in the container; descriptor: the terminal's other end, if it has one.
    failed,      ///< text: why program `id` was not started.
    ended,       ///< number: how program `id` ended, as a shell says it (128 + n for signal n).
    terminated,  ///< No program is left.
  };
  Kind kind = Kind::ready;
  std::uint64_t id = 0;
  std::int64_t number = 0;
  std::string text{};
};

struct ReceivedMessage {
  SpawnerMessage message;
  std::vector<Fd> fds;
};

std::string encode(const Program& program);
Result<Program> decode_program(std::string_view text);

/// Sends one datagram. Errors: invalid (too large), busy (a non-blocking socket is full), unavailable (the peer is
/// gone).
Result<> send_message(int socket, const SpawnerMessage& message, std::span<const int> fds = {});
/// The next datagram, or nothing when the peer is gone. Errors: busy (a non-blocking socket is empty), corrupt,
/// unavailable.
Result<std::optional<ReceivedMessage>> receive_message(int socket);
/// A connected pair of such sockets, both close-on-exec.
Result<std::pair<Fd, Fd>> make_message_sockets();

}  // namespace sprite::agent
