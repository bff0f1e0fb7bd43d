#include "api/list.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <set>

#include "base/text.h"
#include "wire/json.h"

namespace sprite::api {
namespace {

constexpr std::size_t results_max = 500;
constexpr auto organization = "local";

bool wants_lines(const http::Exchange& exchange) {
  const auto accept = exchange.head()["Accept"];
  return accept.find("application/x-ndjson") != accept.npos;
}

std::string now() { return format_time(std::chrono::system_clock::now()); }

/// Names of changed sprites until the next line is written: however slow the client, no more than there are sprites.
struct Changes {
  explicit Changes(asio::any_io_executor executor) : arrived(std::move(executor)) {}
  std::set<std::string> names;
  asio::steady_timer arrived;
};

std::string change_line(const Sprites& sprites, const std::string& name) {
  wire::ListEvent event;
  event.name = name;
  event.timestamp = now();
  event.org = count(sprites.list());
  if (const auto sprite = sprites.get(name)) {
    event.status = sprite->status;
    event.running_version = sprite->version;
    event.last_running_at = sprite->last_running_at;
    event.last_warming_at = sprite->last_warming_at;
  } else {
    event.status = "destroyed";
  }
  return wire::to_json(event) + "\n";
}

std::string heartbeat_line(const Sprites& sprites) {
  wire::ListEvent event;
  event.type = "heartbeat";
  event.timestamp = now();
  event.org = count(sprites.list());
  return wire::to_json(event) + "\n";
}

/// Ends when the client has gone, which a heartbeat finds out at the latest.
asio::awaitable<void> watch(http::Exchange& exchange, Sprites& sprites, std::string prefix,
                            std::chrono::milliseconds heartbeat) {
  const auto changes = std::make_shared<Changes>(exchange.executor());
  const auto watching = sprites.watch([changes, prefix](const wire::Sprite& sprite) {
    if (!sprite.name.starts_with(prefix)) return;
    changes->names.insert(sprite.name);
    changes->arrived.cancel();
  });
  for (const wire::Sprite& sprite : sprites.list())
    if (sprite.name.starts_with(prefix)) changes->names.insert(sprite.name);
  Result<> sent = co_await exchange.begin_stream(200, "application/x-ndjson");
  while (sent) {
    std::string lines;
    for (const std::string& name : std::exchange(changes->names, {})) lines += change_line(sprites, name);
    if (!lines.empty()) {
      sent = co_await exchange.write_chunk(lines);
      continue;
    }
    changes->arrived.expires_after(heartbeat);
    auto [stopped] = co_await changes->arrived.async_wait(asio::as_tuple(asio::use_awaitable));
    if (!stopped) sent = co_await exchange.write_chunk(heartbeat_line(sprites));
  }
}

}  // namespace

Result<ListQuery> parse_list_query(const http::Exchange& exchange) {
  ListQuery query{exchange.query("prefix").value_or(""), 50, exchange.query("continuation_token").value_or(""),
                  exchange.query("bulk_load") == "true"};
  const auto text = exchange.query("max_results");
  if (!text) return query;
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), query.max_results);
  if (failed != std::errc() || end != text->data() + text->size() || query.max_results == 0)
    return Error(Error::Kind::invalid, "max_results must be a number from 1 to 500");
  query.max_results = std::min(query.max_results, results_max);
  return query;
}

wire::Counts count(const std::vector<wire::Sprite>& all) {
  wire::Counts counts;
  counts.name = organization;
  for (const wire::Sprite& sprite : all) {
    if (sprite.status == "running") ++counts.running;
    if (sprite.status == "warm") ++counts.warm;
    if (sprite.status == "cold") ++counts.cold;
  }
  return counts;
}

wire::SpriteList list_page(const std::vector<wire::Sprite>& all, const ListQuery& query) {
  wire::SpriteList page;
  page.org = count(all);
  page.name = page.org.name;
  page.running = page.org.running;
  page.warm = page.org.warm;
  page.cold = page.org.cold;
  for (const wire::Sprite& sprite : all) {
    if (!sprite.name.starts_with(query.prefix) || sprite.name <= query.continuation_token) continue;
    if (page.sprites.size() == query.max_results) {
      page.has_more = true;
      page.next_continuation_token = page.sprites.back().name;
      break;
    }
    page.sprites.push_back(sprite);
    if (query.bulk_load) page.sprites.back().environment.clear();
  }
  return page;
}

asio::awaitable<void> serve_list(http::Exchange& exchange, Sprites& sprites, std::chrono::milliseconds heartbeat) {
  const auto query = parse_list_query(exchange);
  if (!query) {
    co_await exchange.respond_error(query.error());
  } else if (wants_lines(exchange)) {
    co_await watch(exchange, sprites, query->prefix, heartbeat);
  } else {
    co_await sprites.measure_disks();
    co_await exchange.respond(
        http::Response(200, "application/json", wire::to_json(list_page(sprites.list(), *query))));
  }
}

}  // namespace sprite::api
