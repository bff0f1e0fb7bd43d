#pragma once
/// The messages of an exec connection, both ends: binary frames and JSON texts.
///
/// Without a terminal a binary message is one byte that names the stream and the payload; with one it is the terminal's
/// bytes alone. Texts are the same in both. What a reader does not know it ignores: both directions may grow.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sprite::wire {

enum class ExecStream : unsigned char {
  input = 0,         ///< to the program
  output = 1,        ///< from its standard output
  error = 2,         ///< from its standard error
  exit = 3,          ///< one byte: its exit status; the last frame
  end_of_input = 4,  ///< no payload
};

struct ExecFrame {
  ExecStream stream = ExecStream::output;
  std::string_view payload{};  ///< Part of the message that was parsed.
};

std::string exec_frame(ExecStream stream, std::string_view payload);
/// `status` as the one byte that there is: its lowest 8 bits.
std::string exit_frame(int status);
/// Nothing for an empty message, an unknown stream, or an exit without its byte.
std::optional<ExecFrame> parse_exec_frame(std::string_view message);
/// The status in an exit frame's payload.
int exit_status_of(const ExecFrame& frame);

/// The first text of a server: what the client is connected to.
struct SessionInfo {
  std::string session_id{}, command{};
  std::int64_t created = 0;  ///< Unix seconds
  int cols = 80, rows = 24;
  bool is_owner = false, tty = false;
};
struct ExitText {
  int exit_code = 0;
};
/// Sent when nothing else was for a while: some clients give up after 45 s of silence.
struct Keepalive {};
/// A program in the sprite began or ceased to listen on a port.
struct PortChange {
  bool opened = true;
  std::uint16_t port = 0;
  std::string address{};
  std::int64_t pid = 0;
};
struct Resize {
  std::uint16_t cols = 0, rows = 0;
};
struct SignalText {
  int number = 0;
};

std::string to_text(const SessionInfo& info);
std::string to_text(const ExitText& exit);
std::string to_text(const Keepalive& keepalive);
std::string to_text(const PortChange& change);
std::string to_text(const Resize& resize);
std::string to_text(const SignalText& signal);

/// `std::monostate`: malformed, or of a type that we do not know.
using ExecText = std::variant<std::monostate, SessionInfo, ExitText, Keepalive, PortChange, Resize, SignalText>;
ExecText parse_exec_text(std::string_view text);

/// The number of "TERM", "SIGTERM" or "15".
std::optional<int> signal_number(std::string_view name);
/// "TERM"; nothing for a number without a name.
std::optional<std::string> signal_name(int number);

}  // namespace sprite::wire
