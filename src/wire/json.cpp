#include "wire/json.h"

#include <fmt/format.h>

#include <boost/describe.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <boost/mp11/algorithm.hpp>
#include <concepts>

namespace sprite::wire {

// This file is the only one that knows the fields twice: a field that is missing here fails a test (json_test.cpp).
BOOST_DESCRIBE_STRUCT(UrlSettings, (), (auth, private_access))
BOOST_DESCRIBE_STRUCT(SpriteConfig, (), (ram_mb, cpus, region, storage_gb))
BOOST_DESCRIBE_STRUCT(CreateRequest, (),
                      (name, url_settings, labels, runtime, config, environment, image, from, memory))
BOOST_DESCRIBE_STRUCT(UpdateRequest, (), (url_settings, labels, clear_labels, sleep_after, sleep_deep_after, pinned))
BOOST_DESCRIBE_STRUCT(Sprite, (),
                      (id, name, organization, url, url_settings, status, created_at, updated_at, last_running_at,
                       last_warming_at, version, environment_version, labels, config, environment, image, detail,
                       disk_used_bytes, sleep_after, sleep_deep_after, pinned, activity, next_change, next_change_at,
                       timer_due_at))
BOOST_DESCRIBE_STRUCT(Counts, (), (name, running, warm, cold, running_limit, warm_limit))
BOOST_DESCRIBE_STRUCT(SpriteList, (),
                      (sprites, has_more, next_continuation_token, name, running, warm, cold, running_limit, warm_limit,
                       org))
BOOST_DESCRIBE_STRUCT(ListEvent, (),
                      (type, name, status, running_version, last_running_at, last_warming_at, timestamp, org))
BOOST_DESCRIBE_STRUCT(Restarted, (), (sprite_name, machine_id, message))
BOOST_DESCRIBE_STRUCT(Check, (), (sprite_name, sprite_id, status, reason, checked_at, elapsed))
BOOST_DESCRIBE_STRUCT(Session, (), (id, command, workdir, created, last_activity, bytes_per_second, is_active, tty))
BOOST_DESCRIBE_STRUCT(SessionList, (), (sessions, count))
BOOST_DESCRIBE_STRUCT(CheckpointRequest, (), (comment, memory))
BOOST_DESCRIBE_STRUCT(Checkpoint, (),
                      (id, create_time, comment, source_id, health, is_auto, crash_consistent, memory, history))
BOOST_DESCRIBE_STRUCT(Progress, (), (type, data, error, time, checkpoint_id, memory))
BOOST_DESCRIBE_STRUCT(TemplateMade, (), (outcome))
BOOST_DESCRIBE_STRUCT(ForkRequest, (), (name, checkpoint, memory))
BOOST_DESCRIBE_STRUCT(ExportRequest, (), (path))
BOOST_DESCRIBE_STRUCT(ImportRequest, (), (path, name))
BOOST_DESCRIBE_STRUCT(Usage, (),
                      (name, apparent_bytes, local_bytes, shared_bytes, unsealed_bytes, cached_bytes, memory_bytes,
                       layers, checkpoints, trouble))
BOOST_DESCRIBE_STRUCT(CollectRequest, (), (dry_run))
BOOST_DESCRIBE_STRUCT(Collected, (), (packs_needed, bytes_needed, packs_removed, bytes_removed, dry_run))
BOOST_DESCRIBE_STRUCT(UsageReport, (), (sprites, packs, packs_trouble))
BOOST_DESCRIBE_STRUCT(DaemonStatus, (),
                      (version, pid, started_at, socket, url, accelerator, accelerator_reason, qemu_version,
                       libvirt_version, network, sprites, running))
BOOST_DESCRIBE_STRUCT(ShownCheckpoint, (), (id, offset_bytes))
BOOST_DESCRIBE_STRUCT(DifferenceRequest, (), (from, to))
BOOST_DESCRIBE_STRUCT(Difference, (), (change, path))
BOOST_DESCRIBE_STRUCT(DiskCheck, (), (exit_status, output))
BOOST_DESCRIBE_STRUCT(Configure, (),
                      (sprite_id, sprite_name, sprite_url, hostname, realtime_ns, entropy, machine_id, mac_address,
                       environment, checkpoints, drop_connections))
BOOST_DESCRIBE_STRUCT(Appointment, (), (at_ms, early_ms))
BOOST_DESCRIBE_STRUCT(Activity, (), (idle_s, reason, near, next))
BOOST_DESCRIBE_STRUCT(Task, (), (name, started_at, expires_at))
BOOST_DESCRIBE_STRUCT(TaskList, (), (tasks))
BOOST_DESCRIBE_STRUCT(AgentStatus, (), (version, container, detail, restarts, uptime_s, settled))

namespace {

namespace json = boost::json;

template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_public>;

template <class T>
concept Described = boost::describe::has_describe_members<T>::value;

// Writing. Overloads call each other, so all are declared first.
json::value write(const std::string& text) { return json::value(text); }
json::value write(std::integral auto number) { return json::value(number); }
json::value write(double number) { return json::value(number); }
template <class T>
json::value write(const std::optional<T>& value);
template <class T>
json::value write(const std::vector<T>& list);
template <class T>
json::value write(const std::map<std::string, T>& map);
template <Described T>
json::value write(const T& object);

template <class T>
json::value write(const std::optional<T>& value) {
  return value ? write(*value) : json::value();
}
template <class T>
json::value write(const std::vector<T>& list) {
  json::array array;
  for (const T& each : list) array.push_back(write(each));
  return array;
}
template <class T>
json::value write(const std::map<std::string, T>& map) {
  json::object object;
  for (const auto& [key, each] : map) object.emplace(key, write(each));
  return object;
}
template <Described T>
json::value write(const T& object) {
  json::object written;
  boost::mp11::mp_for_each<Members<T>>([&](auto member) {
    json::value value = write(object.*member.pointer);
    if (!value.is_null()) written.emplace(member.name, std::move(value));
  });
  return written;
}

// Reading. `where` names the field for the person who wrote it.
Error wrong_type(const std::string& where, std::string_view expected) {
  if (where.empty()) return Error(Error::Kind::invalid, fmt::format("the body must be {}", expected));
  return Error(Error::Kind::invalid, fmt::format("the field '{}' must be {}", where, expected));
}

Result<> read(const json::value& value, std::string& into, const std::string& where) {
  if (!value.is_string()) return wrong_type(where, "a text");
  into = value.get_string();
  return {};
}
Result<> read(const json::value& value, bool& into, const std::string& where) {
  if (!value.is_bool()) return wrong_type(where, "true or false");
  into = value.get_bool();
  return {};
}
template <class T>
requires std::integral<T> || std::floating_point<T> Result<> read(const json::value& value, T& into,
                                                                  const std::string& where) {
  boost::system::error_code failed;
  into = value.to_number<T>(failed);
  if (failed) return wrong_type(where, std::unsigned_integral<T> ? "a whole number, 0 or more" : "a number");
  return {};
}
template <class T>
Result<> read(const json::value& value, std::optional<T>& into, const std::string& where);
template <class T>
Result<> read(const json::value& value, std::vector<T>& into, const std::string& where);
template <class T>
Result<> read(const json::value& value, std::map<std::string, T>& into, const std::string& where);
template <Described T>
Result<> read(const json::value& value, T& into, const std::string& where);

template <class T>
Result<> read(const json::value& value, std::optional<T>& into, const std::string& where) {
  return read(value, into.emplace(), where);
}
template <class T>
Result<> read(const json::value& value, std::vector<T>& into, const std::string& where) {
  if (!value.is_array()) return wrong_type(where, "a list");
  into.clear();
  for (const json::value& each : value.get_array()) {
    const std::string name = fmt::format("{}[{}]", where, into.size());
    TRY(read(each, into.emplace_back(), name));
  }
  return {};
}
template <class T>
Result<> read(const json::value& value, std::map<std::string, T>& into, const std::string& where) {
  if (!value.is_object()) return wrong_type(where, "an object");
  into.clear();
  for (const auto& [key, each] : value.get_object())
    TRY(read(each, into[std::string(key)], fmt::format("{}.{}", where, std::string_view(key))));
  return {};
}
template <Described T>
Result<> read(const json::value& value, T& into, const std::string& where) {
  if (!value.is_object()) return wrong_type(where, "an object");
  Result<> outcome;
  boost::mp11::mp_for_each<Members<T>>([&](auto member) {
    const json::value* field = value.get_object().if_contains(member.name);
    if (!outcome || !field || field->is_null()) return;
    outcome =
        read(*field, into.*member.pointer, where.empty() ? member.name : fmt::format("{}.{}", where, member.name));
  });
  return outcome;
}

}  // namespace

template <class T>
json::value to_value(const T& value) {
  return write(value);
}

template <class T>
std::string to_json(const T& value) {
  return json::serialize(write(value));
}

template <class T>
Result<T> from_json(std::string_view text) {
  boost::system::error_code failed;
  const json::value parsed = json::parse(text, failed);
  if (failed) return Error(Error::Kind::invalid, "the body is not proper JSON", "", {failed.message()});
  T value{};
  TRY(read(parsed, value, ""));
  return value;
}

#define SPRITE_WIRE_JSON(T)                \
  template json::value to_value(const T&); \
  template std::string to_json(const T&);  \
  template Result<T> from_json<T>(std::string_view);

SPRITE_WIRE_JSON(UrlSettings)
SPRITE_WIRE_JSON(SpriteConfig)
SPRITE_WIRE_JSON(CreateRequest)
SPRITE_WIRE_JSON(UpdateRequest)
SPRITE_WIRE_JSON(Sprite)
SPRITE_WIRE_JSON(Counts)
SPRITE_WIRE_JSON(SpriteList)
SPRITE_WIRE_JSON(ListEvent)
SPRITE_WIRE_JSON(Restarted)
SPRITE_WIRE_JSON(Check)
SPRITE_WIRE_JSON(Session)
SPRITE_WIRE_JSON(SessionList)
SPRITE_WIRE_JSON(CheckpointRequest)
SPRITE_WIRE_JSON(Checkpoint)
SPRITE_WIRE_JSON(std::vector<Checkpoint>)
SPRITE_WIRE_JSON(Progress)
SPRITE_WIRE_JSON(TemplateMade)
SPRITE_WIRE_JSON(ForkRequest)
SPRITE_WIRE_JSON(ExportRequest)
SPRITE_WIRE_JSON(ImportRequest)
SPRITE_WIRE_JSON(Usage)
SPRITE_WIRE_JSON(CollectRequest)
SPRITE_WIRE_JSON(Collected)
SPRITE_WIRE_JSON(UsageReport)
SPRITE_WIRE_JSON(DaemonStatus)
SPRITE_WIRE_JSON(ShownCheckpoint)
SPRITE_WIRE_JSON(std::vector<ShownCheckpoint>)
SPRITE_WIRE_JSON(DifferenceRequest)
SPRITE_WIRE_JSON(Difference)
SPRITE_WIRE_JSON(DiskCheck)
SPRITE_WIRE_JSON(Activity)
SPRITE_WIRE_JSON(Task)
SPRITE_WIRE_JSON(TaskList)
SPRITE_WIRE_JSON(Configure)
SPRITE_WIRE_JSON(AgentStatus)

}  // namespace sprite::wire
