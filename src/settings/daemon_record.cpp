#include "settings/daemon_record.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace sprite::settings {
namespace {

namespace json = boost::json;

Path record_path(const Path& runtime_dir) { return runtime_dir / "daemon.json"; }

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::int64_t number_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_int64() ? value->get_int64() : 0;
}

std::optional<json::object> parse_object(const std::string& text) {
  boost::system::error_code failed;
  json::value value = json::parse(text, failed);
  if (failed || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

}  // namespace

Path daemon_socket(const Path& runtime_dir) { return runtime_dir / "daemon.sock"; }
Path daemon_lock(const Path& runtime_dir) { return runtime_dir / "daemon.lock"; }
Path daemon_log(const Path& state_dir) { return state_dir / "daemon.log"; }

Result<std::optional<DaemonRecord>> read_daemon_record(const Path& runtime_dir) {
  auto text = read_file(record_path(runtime_dir), 64 * KiB);
  if (!text && text.error().kind == Error::Kind::denied) return std::move(text).error();
  if (!text) return std::optional<DaemonRecord>{};
  const auto object = parse_object(*text);
  if (!object) return std::optional<DaemonRecord>{};
  const std::int64_t port = number_of(*object, "port");
  DaemonRecord record{number_of(*object, "pid"), 0, text_of(*object, "token"), text_of(*object, "version")};
  if (port > 0 && port <= 65535) record.port = static_cast<std::uint16_t>(port);
  return std::optional<DaemonRecord>(std::move(record));
}

Result<> write_daemon_record(const Path& runtime_dir, const DaemonRecord& record) {
  const json::value value{
      {"pid", record.pid}, {"port", record.port}, {"token", record.token}, {"version", record.version}};
  return write_file_atomically(record_path(runtime_dir), json::serialize(value) + "\n");
}

std::string encode_startup_report(const Result<>& outcome) {
  json::object report;
  if (!outcome) {
    const Error& error = outcome.error();
    report["error"] = sprite::to_string(error.kind);
    report["message"] = error.what;
    report["hint"] = error.hint;
    report["because"] = json::array(error.because.begin(), error.because.end());
  }
  return json::serialize(report);
}

Result<> decode_startup_report(const std::string& text) {
  const auto report = parse_object(text);
  if (!report) return Error{Error::Kind::unavailable, "the daemon ended before it was ready"};
  if (!report->contains("error")) return {};
  Error error{kind_from_string(text_of(*report, "error")), text_of(*report, "message"), text_of(*report, "hint"), {}};
  if (const json::value* because = report->if_contains("because"); because && because->is_array())
    for (const json::value& cause : because->get_array())
      if (cause.is_string()) error.because.emplace_back(cause.get_string());
  return error;
}

}  // namespace sprite::settings
