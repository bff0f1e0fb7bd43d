// What a client may send to an exec connection, and a server to its client: binary frames and JSON texts.
#include "input.h"
#include "wire/exec_frames.h"

using namespace sprite;
using namespace sprite::wire;
using fuzz::require;

namespace {

void parse_binary(std::string_view message) {
  const auto frame = parse_exec_frame(message);
  if (!frame) return;
  require(frame->payload.size() + 1 == message.size(), "the payload is all but the first byte");
  require(exec_frame(frame->stream, frame->payload) == message, "what was parsed encodes to the same");
  if (frame->stream != ExecStream::exit) return;
  const int status = exit_status_of(*frame);
  require(status >= 0 && status <= 255, "a status is one byte");
  require(exit_status_of(*parse_exec_frame(exit_frame(status))) == status, "a status comes back");
}

/// Encoding what was parsed and parsing it again changes nothing more.
void parse_text(std::string_view text) {
  const ExecText parsed = parse_exec_text(text);
  std::visit(
      [&](const auto& message) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(message)>, std::monostate>) {
          const std::string once = to_text(message);
          const ExecText again = parse_exec_text(once);
          require(again.index() == parsed.index(), "a message keeps its type");
          std::visit(
              [&](const auto& second) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(second)>, std::monostate>)
                  require(to_text(second) == once, "a message keeps its content");
              },
              again);
        }
      },
      parsed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  parse_binary(message);
  parse_text(message);
  (void)signal_number(message);
  return 0;
}
