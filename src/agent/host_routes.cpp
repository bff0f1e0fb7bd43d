#include "agent/host_routes.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <charconv>

#include "agent/event.h"
#include "base/log.h"
#include "wire/json.h"

namespace sprite::agent {
namespace {

constexpr std::size_t configuration_bytes_max = 1024 * 1024;
/// Long enough for the answer to leave the VM, short enough for nobody to notice.
constexpr std::chrono::milliseconds answer_travels{100};
constexpr std::chrono::milliseconds near_max = std::chrono::hours(24 * 365);

asio::awaitable<void> respond_with_json(http::Exchange& exchange, std::string json) {
  http::Response response;
  response.body = std::move(json);
  co_await exchange.respond(std::move(response));
}

asio::awaitable<void> respond_with(http::Exchange& exchange, Result<> done) {
  if (!done) {
    co_await exchange.respond_error(done.error());
    co_return;
  }
  co_await respond_with_json(exchange, "{}");
}

/// Nothing unless it is a positive number.
std::optional<std::int64_t> number_in_query(const http::Exchange& exchange, const std::string& name) {
  const std::string text = exchange.query(name).value_or("");
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size() || number <= 0) return std::nullopt;
  return number;
}

asio::awaitable<Result<>> configure(http::Exchange& exchange, Machine& machine) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(configuration_bytes_max));
  CO_TRY_LET(wire::Configure configuration, wire::from_json<wire::Configure>(body));
  co_return co_await machine.configure(std::move(configuration));
}

asio::awaitable<Result<>> show_checkpoints(http::Exchange& exchange, Machine& machine) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(configuration_bytes_max));
  CO_TRY_LET(auto checkpoints, wire::from_json<std::vector<wire::ShownCheckpoint>>(body));
  machine.show_checkpoints(std::move(checkpoints));
  co_return Result<>{};
}

asio::awaitable<Result<std::shared_ptr<TreeComparison>>> begin_comparison(http::Exchange& exchange, Machine& machine) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(configuration_bytes_max));
  CO_TRY_LET(auto request, wire::from_json<wire::DifferenceRequest>(body));
  co_return co_await machine.compare(std::move(request));
}

}  // namespace

asio::awaitable<void> serve_configure(http::Exchange& exchange, Machine& machine, Sessions& sessions) {
  const std::string before = machine.configuration() ? machine.configuration()->sprite_id : std::string();
  auto configured = co_await configure(exchange, machine);
  if (configured && !before.empty() && before != machine.configuration()->sprite_id) sessions.outlive_clients();
  if (!configured) log::error("{}", log::one_line(configured.error()));
  co_await respond_with(exchange, std::move(configured));
}

asio::awaitable<void> serve_status(http::Exchange& exchange, Machine& machine) {
  co_await respond_with_json(exchange, wire::to_json(machine.status()));
}

asio::awaitable<void> serve_shutdown(http::Exchange& exchange, Machine& machine) {
  auto stopped = co_await machine.stop();
  if (!stopped) log::warning("{}", log::one_line(stopped.error()));
  co_await respond_with(exchange, std::move(stopped));
  asio::co_spawn(
      exchange.executor(),
      [executor = exchange.executor(), &machine]() -> asio::awaitable<void> {
        co_await pause_for(executor, answer_travels);
        machine.power_off();
      },
      asio::detached);
}

asio::awaitable<void> serve_freeze(http::Exchange& exchange, Machine& machine) {
  auto frozen = co_await machine.freeze();
  co_await respond_with(exchange, std::move(frozen));
}

asio::awaitable<void> serve_thaw(http::Exchange& exchange, Machine& machine) {
  co_await respond_with(exchange, machine.thaw());
}

asio::awaitable<void> serve_activity(http::Exchange& exchange, Machine& machine, ActivityMeter& meter) {
  wire::Activity activity = meter.look();
  if (const auto near_ms = number_in_query(exchange, "near_ms")) {
    const auto near = std::min(std::chrono::milliseconds(*near_ms), near_max);
    const auto timers = co_await machine.timers();
    choose_timers(timers, std::chrono::system_clock::now(), near, activity);
  }
  co_await respond_with_json(exchange, wire::to_json(activity));
}

asio::awaitable<void> serve_hold(http::Exchange& exchange, Machine& machine) {
  auto held = co_await machine.hold_programs();
  co_await respond_with(exchange, std::move(held));
}

asio::awaitable<void> serve_go_on(http::Exchange& exchange, Machine& machine) {
  const auto realtime_ns = number_in_query(exchange, "realtime_ns");
  if (!realtime_ns) {
    co_await exchange.respond_error(Error(Error::Kind::invalid, "realtime_ns must be a time"));
    co_return;
  }
  auto gone_on = co_await machine.go_on(*realtime_ns);
  co_await respond_with(exchange, std::move(gone_on));
}

asio::awaitable<void> serve_container_stop(http::Exchange& exchange, Machine& machine) {
  auto released = co_await machine.release_disk();
  co_await respond_with(exchange, std::move(released));
}

asio::awaitable<void> serve_disk_check(http::Exchange& exchange, Machine& machine) {
  auto checked = co_await machine.check_disk();
  if (!checked) {
    co_await exchange.respond_error(checked.error());
    co_return;
  }
  co_await respond_with_json(exchange, wire::to_json(*checked));
}

/// A line of JSON for each difference; a failure on the way is the last line.
asio::awaitable<void> serve_difference(http::Exchange& exchange, Machine& machine) {
  auto comparison = co_await begin_comparison(exchange, machine);
  if (!comparison) {
    co_await exchange.respond_error(comparison.error());
    co_return;
  }
  auto sent = co_await exchange.begin_stream(200, "application/x-ndjson");
  while (sent && !(*comparison)->done()) {
    auto found = co_await machine.next_differences(*comparison);
    std::string lines;
    if (!found) lines = wire::to_json(wire::Difference{"error", log::one_line(found.error())}) + "\n";
    if (found)
      for (const wire::Difference& each : *found) lines += wire::to_json(each) + "\n";
    if (!lines.empty()) sent = co_await exchange.write_chunk(lines);
    if (!found) break;
  }
  comparison->reset();
  if (sent) (void)co_await exchange.end_stream();
}

asio::awaitable<void> serve_checkpoints(http::Exchange& exchange, Machine& machine) {
  auto shown = co_await show_checkpoints(exchange, machine);
  co_await respond_with(exchange, std::move(shown));
}

asio::awaitable<void> serve_container_start(http::Exchange& exchange, Machine& machine) {
  auto taken = co_await machine.take_disk();
  co_await respond_with(exchange, std::move(taken));
}

}  // namespace sprite::agent
