#include "vm/monitor.h"

#include <libvirt/libvirt-qemu.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include "vm/libvirt_handles.h"

namespace sprite::vm {
namespace {

namespace json = boost::json;

/// What QEMU answers to a command: the object in "return".
Result<json::object> ask(virDomainPtr domain, std::string_view command, json::object arguments = {}) {
  const std::string what = "QEMU does not do '" + std::string(command) + "'";
  json::object request{{"execute", command}};
  if (!arguments.empty()) request["arguments"] = std::move(arguments);
  char* text = nullptr;
  if (virDomainQemuMonitorCommand(domain, json::serialize(request).c_str(), &text, 0) != 0) return libvirt_error(what);
  boost::system::error_code failed;
  const json::value answer = json::parse(take_text(text), failed);
  const json::object* const object = answer.if_object();
  if (failed || !object) return Error{Error::Kind::unavailable, what, {}, {"its answer is no JSON object"}};
  if (const json::value* result = object->if_contains("return"); result && result->is_object())
    return result->get_object();
  const json::value* error = object->if_contains("error");
  return Error{Error::Kind::unavailable, what, {}, {error ? json::serialize(*error) : "it does not say why"}};
}

std::string text_in(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

json::object unix_uri(const Path& socket) { return {{"uri", "unix:" + socket.string()}}; }

}  // namespace

Result<> leave_memory_to_its_file(virDomainPtr domain) {
  const json::array capabilities{json::object{{"capability", "x-ignore-shared"}, {"state", true}}};
  TRY(ask(domain, "migrate-set-capabilities", {{"capabilities", capabilities}}));
  return {};
}

Result<> send_state_to(virDomainPtr domain, const Path& socket) {
  TRY(ask(domain, "migrate", unix_uri(socket)));
  return {};
}

Result<> await_state_at(virDomainPtr domain, const Path& socket) {
  TRY(ask(domain, "migrate-incoming", unix_uri(socket)));
  return {};
}

Result<Transfer> transfer_of_state(virDomainPtr domain) {
  TRY_LET(const json::object answer, ask(domain, "query-migrate"));
  const std::string status = text_in(answer, "status");
  if (status.empty() || status == "none") return Transfer::none;
  if (status == "completed") return Transfer::completed;
  return status == "failed" || status == "cancelled" ? Transfer::failed : Transfer::under_way;
}

Result<bool> awaits_state(virDomainPtr domain) {
  TRY_LET(const json::object answer, ask(domain, "query-status"));
  return text_in(answer, "status") == "inmigrate";
}

}  // namespace sprite::vm
