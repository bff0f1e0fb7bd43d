#include "wire/exec_frames.h"

#include <doctest/doctest.h>
#include <signal.h>

using namespace sprite::wire;

TEST_CASE("a frame is a byte for the stream and the payload, zeros and all") {
  const std::string payload("a\0b", 3);
  CHECK(exec_frame(ExecStream::output, payload) == std::string("\1a\0b", 4));
  CHECK(exec_frame(ExecStream::end_of_input, "") == "\4");
  const std::string message = exec_frame(ExecStream::error, payload);
  const auto frame = parse_exec_frame(message);
  REQUIRE(frame);
  CHECK(frame->stream == ExecStream::error);
  CHECK(frame->payload == payload);
  CHECK(parse_exec_frame("\1")->payload.empty());
}

TEST_CASE("an exit status is one byte without a sign") {
  for (int status : {0, 3, 126, 127, 137, 255}) {
    const std::string message = exit_frame(status);
    CHECK(message.size() == 2);
    CHECK(exit_status_of(*parse_exec_frame(message)) == status);
  }
}

TEST_CASE("what is no frame is nothing") {
  for (const std::string& wrong :
       {std::string(), std::string("\3"), std::string("\5x"), std::string("hello"), std::string("\xff")})
    CHECK_FALSE(parse_exec_frame(wrong).has_value());
}

TEST_CASE("texts come back as they were") {
  const auto info = std::get<SessionInfo>(
      parse_exec_text(to_text(SessionInfo{"7", "sh -c \"x\"", 1'780'000'000, 120, 40, true, true})));
  CHECK(info.session_id == "7");
  CHECK(info.command == "sh -c \"x\"");
  CHECK(info.created == 1'780'000'000);
  CHECK(info.cols == 120);
  CHECK(info.rows == 40);
  CHECK((info.is_owner && info.tty));
  CHECK(std::get<ExitText>(parse_exec_text(to_text(ExitText{137}))).exit_code == 137);
  CHECK(std::holds_alternative<Keepalive>(parse_exec_text(to_text(Keepalive{}))));
  const auto change = std::get<PortChange>(parse_exec_text(to_text(PortChange{false, 8080, "10.0.0.1", 12})));
  CHECK_FALSE(change.opened);
  CHECK(change.port == 8080);
  CHECK(change.pid == 12);
  const auto resize = std::get<Resize>(parse_exec_text(to_text(Resize{132, 43})));
  CHECK(resize.cols == 132);
  CHECK(resize.rows == 43);
  CHECK(std::get<SignalText>(parse_exec_text(to_text(SignalText{SIGHUP}))).number == SIGHUP);
}

TEST_CASE("an exit carries both spellings, and either is read") {
  CHECK(to_text(ExitText{3}) == R"({"type":"exit","exit_code":3,"code":3})");
  CHECK(std::get<ExitText>(parse_exec_text(R"({"type":"exit","code":4})")).exit_code == 4);
}

TEST_CASE("signals are known by both spellings and by number") {
  CHECK(signal_number("TERM") == SIGTERM);
  CHECK(signal_number("SIGTERM") == SIGTERM);
  CHECK(signal_number("15") == SIGTERM);
  CHECK(signal_number("USR1") == SIGUSR1);
  for (const char* wrong : {"", "SIG", "SIGSIGTERM", "term", "0", "-9", "64000", "SIGNAL"})
    CHECK_FALSE(signal_number(wrong).has_value());
  CHECK(std::get<SignalText>(parse_exec_text(R"({"type":"signal","signal":"SIGINT"})")).number == SIGINT);
}

TEST_CASE("texts that are malformed or unknown are ignored") {
  for (const char* text : {"", "{", "[]", "7", R"({"type":7})", R"({"type":"later"})", R"({"type":"resize","cols":80})",
                           R"({"type":"resize","cols":-1,"rows":1})", R"({"type":"resize","cols":70000,"rows":1})",
                           R"({"type":"signal","signal":"NOPE"})", R"({"type":"signal"})", R"({"type":"exit"})",
                           R"({"type":"port_opened"})"})
    CHECK(std::holds_alternative<std::monostate>(parse_exec_text(text)));
}
