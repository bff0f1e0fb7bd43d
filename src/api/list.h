#pragma once
/// The list of sprites: its pages, its counters, and watching it.
#include <string>
#include <vector>

#include "http/server.h"
#include "sprite/sprites.h"
#include "wire/types.h"

namespace sprite::api {

struct ListQuery {
  std::string prefix{};
  std::size_t max_results = 50;
  std::string continuation_token{};  ///< The last name of the page before.
  bool bulk_load = false;            ///< Without the environment: many entries, of which little is needed.
};

/// Errors: invalid (a max_results that is no number from 1 on).
Result<ListQuery> parse_list_query(const http::Exchange& exchange);
/// `all` must be sorted by name. The counters are of all, whatever the page.
wire::SpriteList list_page(const std::vector<wire::Sprite>& all, const ListQuery& query);
wire::Counts count(const std::vector<wire::Sprite>& all);

/// Answers with the list, or with a line for each sprite and then for each change where the client asked for NDJSON.
asio::awaitable<void> serve_list(http::Exchange& exchange, Sprites& sprites, std::chrono::milliseconds heartbeat);

}  // namespace sprite::api
