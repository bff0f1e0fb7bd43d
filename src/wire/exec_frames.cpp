#include "wire/exec_frames.h"

#include <signal.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cstring>

namespace sprite::wire {
namespace {

namespace json = boost::json;

template <class Number>
std::optional<Number> number_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value) return std::nullopt;
  boost::system::error_code failed;
  const auto number = value->to_number<Number>(failed);
  return failed ? std::nullopt : std::optional(number);
}

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

bool flag_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_bool() && value->get_bool();
}

SessionInfo parse_session_info(const json::object& object) {
  SessionInfo info{text_at(object, "session_id"), text_at(object, "command"),
                   number_at<std::int64_t>(object, "created").value_or(0)};
  // The public service numbers its sessions.
  if (const auto number = number_at<std::int64_t>(object, "session_id")) info.session_id = std::to_string(*number);
  info.cols = number_at<std::uint16_t>(object, "cols").value_or(80);
  info.rows = number_at<std::uint16_t>(object, "rows").value_or(24);
  info.is_owner = flag_at(object, "is_owner");
  info.tty = flag_at(object, "tty");
  return info;
}

ExecText parse_exit(const json::object& object) {
  auto code = number_at<int>(object, "exit_code");
  if (!code) code = number_at<int>(object, "code");
  if (!code) return {};
  return ExitText{*code};
}

ExecText parse_port_change(const json::object& object, bool opened) {
  const auto port = number_at<std::uint16_t>(object, "port");
  if (!port) return {};
  return PortChange{opened, *port, text_at(object, "address"), number_at<std::int64_t>(object, "pid").value_or(0)};
}

ExecText parse_resize(const json::object& object) {
  const auto cols = number_at<std::uint16_t>(object, "cols"), rows = number_at<std::uint16_t>(object, "rows");
  if (!cols || !rows) return {};
  return Resize{*cols, *rows};
}

ExecText parse_signal(const json::object& object) {
  const auto number = signal_number(text_at(object, "signal"));
  if (!number) return {};
  return SignalText{*number};
}

}  // namespace

std::string exec_frame(ExecStream stream, std::string_view payload) {
  std::string frame;
  frame.reserve(payload.size() + 1);
  frame += static_cast<char>(stream);
  frame += payload;
  return frame;
}

std::string exit_frame(int status) {
  const char byte = static_cast<char>(status & 0xff);
  return exec_frame(ExecStream::exit, {&byte, 1});
}

std::optional<ExecFrame> parse_exec_frame(std::string_view message) {
  if (message.empty() ||
      static_cast<unsigned char>(message.front()) > static_cast<unsigned char>(ExecStream::end_of_input))
    return std::nullopt;
  const ExecFrame frame{static_cast<ExecStream>(message.front()), message.substr(1)};
  if (frame.stream == ExecStream::exit && frame.payload.empty()) return std::nullopt;
  return frame;
}

int exit_status_of(const ExecFrame& frame) { return static_cast<unsigned char>(frame.payload.front()); }

std::string to_text(const SessionInfo& info) {
  return json::serialize(json::object{{"type", "session_info"},
                                      {"session_id", info.session_id},
                                      {"command", info.command},
                                      {"created", info.created},
                                      {"cols", info.cols},
                                      {"rows", info.rows},
                                      {"is_owner", info.is_owner},
                                      {"tty", info.tty}});
}

std::string to_text(const ExitText& exit) {  // old clients read "code"
  return json::serialize(json::object{{"type", "exit"}, {"exit_code", exit.exit_code}, {"code", exit.exit_code}});
}

std::string to_text(const Keepalive&) { return R"({"type":"keepalive"})"; }

std::string to_text(const PortChange& change) {
  return json::serialize(json::object{{"type", change.opened ? "port_opened" : "port_closed"},
                                      {"port", change.port},
                                      {"address", change.address},
                                      {"pid", change.pid}});
}

std::string to_text(const Resize& resize) {
  return json::serialize(json::object{{"type", "resize"}, {"cols", resize.cols}, {"rows", resize.rows}});
}

std::string to_text(const SignalText& signal) {
  return json::serialize(
      json::object{{"type", "signal"}, {"signal", signal_name(signal.number).value_or(std::to_string(signal.number))}});
}

ExecText parse_exec_text(std::string_view text) {
  boost::system::error_code failed;
  const json::value parsed = json::parse(text, failed);
  const json::object* object = failed ? nullptr : parsed.if_object();
  if (!object) return {};
  const std::string type = text_at(*object, "type");
  if (type == "session_info") return parse_session_info(*object);
  if (type == "exit") return parse_exit(*object);
  if (type == "keepalive") return Keepalive{};
  if (type == "port_opened" || type == "port_closed") return parse_port_change(*object, type == "port_opened");
  if (type == "resize") return parse_resize(*object);
  if (type == "signal") return parse_signal(*object);
  return {};
}

std::optional<int> signal_number(std::string_view name) {
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (int number = 1; number < NSIG; ++number)
    if (name == std::to_string(number) || name == signal_name(number)) return number;
  return std::nullopt;
}

std::optional<std::string> signal_name(int number) {
  const char* abbreviation = ::sigabbrev_np(number);
  if (!abbreviation) return std::nullopt;
  return abbreviation;
}

}  // namespace sprite::wire
