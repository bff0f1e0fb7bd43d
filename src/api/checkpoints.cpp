#include "api/checkpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <map>
#include <set>

#include "api/answer.h"
#include "base/log.h"
#include "base/text.h"
#include "sprite/checkpoints.h"
#include "wire/json.h"

namespace sprite::api {
namespace {

/// The lines of an answer. A client that has gone changes nothing about what is done.
class Lines {
 public:
  explicit Lines(Exchange& exchange) : exchange_(exchange) {}

  asio::awaitable<void> begin(std::string text) {
    sent_ = co_await exchange_.begin_stream(200, "application/x-ndjson");
    co_await say(std::move(text));
  }
  asio::awaitable<void> say(std::string text) {
    wire::Progress line = at_now("info");
    line.data = std::move(text);
    co_await write(line);
  }
  asio::awaitable<void> end(std::string text, std::string checkpoint, bool programs_too = false) {
    wire::Progress line = at_now("complete");
    line.data = std::move(text);
    line.checkpoint_id = std::move(checkpoint);
    if (programs_too) line.memory = true;
    co_await write(line);
    if (sent_) (void)co_await exchange_.end_stream();
  }
  asio::awaitable<void> fail(Error error) {
    wire::Progress line = at_now("error");
    line.error = error.what;
    for (const std::string& cause : error.because) *line.error += "; because " + cause;
    if (!error.hint.empty()) line.data = "try: " + error.hint;
    co_await write(line);
    if (sent_) (void)co_await exchange_.end_stream();
  }

 private:
  static wire::Progress at_now(std::string type) {
    wire::Progress line;
    line.type = std::move(type);
    line.time = format_time(std::chrono::system_clock::now());
    return line;
  }
  asio::awaitable<void> write(const wire::Progress& line) {
    const std::string text = wire::to_json(line) + "\n";
    if (sent_) sent_ = co_await exchange_.write_chunk(text);
  }

  Exchange& exchange_;
  Result<> sent_;
};

asio::awaitable<void> say_what_it_waits_for(Lines& lines, Sprites& sprites, std::string name) {
  const std::string other = sprites.going_on(name);
  if (!other.empty()) co_await lines.say("Waiting for the " + other + " of '" + name + "' to end...");
}

std::string list_hint(const std::string& name) { return "run `sprite checkpoint list --include-auto -s " + name + "`"; }

/// Errors: not_found.
Result<wire::Checkpoint> find_in(const std::vector<wire::Checkpoint>& all, const std::string& name,
                                 const std::string& id) {
  const auto found = std::ranges::find(all, id, &wire::Checkpoint::id);
  if (found == all.end()) return Error(Error::Kind::not_found, "there is no checkpoint '" + id + "'", list_hint(name));
  return *found;
}

/// Errors: not_found.
asio::awaitable<Result<wire::Checkpoint>> find(Sprites& sprites, std::string name, std::string id) {
  CO_TRY_LET(const std::vector<wire::Checkpoint> all, co_await sprites.checkpoints(name));
  co_return find_in(all, name, id);
}

/// One that can be restored. Errors: not_found, invalid ("Current").
asio::awaitable<Result<>> check_restorable(Sprites& sprites, std::string name, std::string id) {
  CO_TRY(co_await find(sprites, name, id));
  if (id == current_id) {
    co_return Error(Error::Kind::invalid, "'Current' is the disk as it is, not a checkpoint", list_hint(name));
  }
  co_return Result<>{};
}

/// With `history`, that checkpoint and those that it came after.
Answer list(Exchange& exchange, Sprites& sprites, std::string name) {
  CO_TRY_LET(std::vector<wire::Checkpoint> all, co_await sprites.checkpoints(name));
  const std::string history = exchange.query("history").value_or("");
  if (!history.empty()) {
    CO_TRY(find_in(all, name, history));
    std::map<std::string, std::string> source_of;
    for (const wire::Checkpoint& each : all) source_of[each.id] = each.source_id.value_or("");
    std::set<std::string> wanted;
    for (std::string id = history; !id.empty() && wanted.insert(id).second;) id = source_of[id];
    std::erase_if(all, [&](const auto& each) { return !wanted.contains(each.id); });
  }
  if (exchange.query("includeAuto") != "true")
    std::erase_if(all, [](const auto& each) { return each.is_auto.value_or(false); });
  co_return as_json(200, wire::to_json(all));
}

Answer get(Exchange& exchange, Sprites& sprites, std::string name) {
  CO_TRY_LET(const wire::Checkpoint found, co_await find(sprites, std::move(name), exchange.parameter("id")));
  co_return as_json(200, wire::to_json(found));
}

Answer remove(Exchange& exchange, Sprites& sprites, std::string name) {
  CO_TRY(co_await sprites.remove_checkpoint(std::move(name), exchange.parameter("id")));
  co_return Response(204, "", "");
}

enum class Who { owner, guest };

/// Memory takes much of the host's disk, so that a guest cannot have its own kept.
asio::awaitable<Result<wire::CheckpointRequest>> read_request(Exchange& exchange, Sprites& sprites, std::string name,
                                                              Who who) {
  CO_TRY_LET(const std::string body, co_await exchange.read_body(body_bytes_max));
  CO_TRY(co_await sprites.check_room_for_checkpoint(std::move(name)));
  if (body.empty()) co_return wire::CheckpointRequest();
  CO_TRY_LET(wire::CheckpointRequest request, wire::from_json<wire::CheckpointRequest>(body));
  if (who == Who::guest && request.memory.value_or(false)) {
    co_return Error(Error::Kind::denied, "a checkpoint with memory cannot be made from inside",
                    "make it on the host: `sprite checkpoint create --memory -s NAME`");
  }
  co_return request;
}

asio::awaitable<void> create(Exchange& exchange, Sprites& sprites, std::string name, Who who) {
  const auto request = co_await read_request(exchange, sprites, name, who);
  if (!request) {
    co_await exchange.respond_error(request.error());
    co_return;
  }
  Lines lines(exchange);
  co_await lines.begin("Creating checkpoint...");
  co_await say_what_it_waits_for(lines, sprites, name);
  auto made = co_await sprites.checkpoint(name, *request);
  if (!made) {
    co_await lines.fail(std::move(made).error());
    co_return;
  }
  if (!made->note.empty()) co_await lines.say("Warning: " + made->note);
  const std::string id = made->checkpoint.id;
  co_await lines.say("  ID: " + id);
  co_await lines.end("Checkpoint " + id + " created", id);
}

/// The agent's answer is passed on as it comes.
asio::awaitable<void> compare(Exchange& exchange, Sprites& sprites, std::string name) {
  auto comparing =
      co_await sprites.compare(name, exchange.query("from").value_or(""), exchange.query("to").value_or(""));
  if (!comparing) {
    co_await exchange.respond_error(comparing.error());
    co_return;
  }
  const std::string body = wire::to_json(comparing->request);
  std::string first = fmt::format(
      "POST /host/difference HTTP/1.1\r\nHost: sprite\r\nConnection: close\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n\r\n{}",
      body.size(), body);
  http::TakenConnection client = exchange.take_connection();
  co_await http::relay(std::move(client.stream), std::move(comparing->agent), std::move(first));
}

asio::awaitable<void> restore(Exchange& exchange, Sprites& sprites, std::string name) {
  const std::string id = exchange.parameter("id");
  const auto found = co_await check_restorable(sprites, name, id);
  if (!found) {
    co_await exchange.respond_error(found.error());
    co_return;
  }
  Lines lines(exchange);
  co_await lines.begin("Restoring to checkpoint " + id + "...");
  co_await say_what_it_waits_for(lines, sprites, name);
  auto restored = co_await sprites.restore(name, id);
  if (!restored) {
    co_await lines.fail(std::move(restored).error());
    co_return;
  }
  if (!restored->note.empty()) co_await lines.say("Warning: " + restored->note);
  const std::string before = restored->checkpoint.id;
  co_await lines.say("  State before: " + before);
  co_await lines.end("Restored to checkpoint " + id, before, restored->programs_too);
}

/// What the check printed, a line each; the last tells how it ended.
asio::awaitable<void> check_filesystem(Exchange& exchange, Sprites& sprites, std::string name) {
  const auto found = sprites.get(name);
  if (!found) {
    co_await exchange.respond_error(found.error());
    co_return;
  }
  Lines lines(exchange);
  co_await lines.begin("Checking the filesystem...");
  co_await say_what_it_waits_for(lines, sprites, name);
  auto done = co_await sprites.check_filesystem(name);
  if (!done) {
    co_await lines.fail(std::move(done).error());
    co_return;
  }
  for (const std::string& line : split(done->check.output, '\n'))
    if (const std::string text = trim(line); !text.empty()) co_await lines.say("e2fsck: " + text);
  const std::string before = done->before.id;
  co_await lines.say("  State before: " + before);
  if (done->check.exit_status >= 4) {
    co_await lines.fail(Error(Error::Kind::corrupt, "the filesystem of '" + name + "' has errors that were not mended",
                              "go back to a checkpoint: `sprite recover " + name + "`"));
    co_return;
  }
  const bool clean = done->check.exit_status == 0;
  std::string verdict = "The filesystem is clean";
  if (!clean) verdict = "The filesystem had errors, which are mended";
  co_await lines.end(verdict, before);
}

/// `restoring` tells whether one is under way.
asio::awaitable<void> restore_behind(Exchange& exchange, Sprites& sprites, std::string name,
                                     std::shared_ptr<bool> restoring) {
  const std::string id = exchange.parameter("id");
  if (*restoring) {
    const Error busy(Error::Kind::busy, "a restore is under way already", "wait for it to end");
    co_await exchange.respond_error(busy);
    co_return;
  }
  const auto found = co_await check_restorable(sprites, name, id);
  if (!found) {
    co_await exchange.respond_error(found.error());
    co_return;
  }
  *restoring = true;
  co_await exchange.respond(as_json(202, R"({"message":"the restore to )" + id + R"( begins"})"));
  auto ended = [name, id, restoring](std::exception_ptr, Result<Checkpointed> restored) {
    *restoring = false;
    if (!restored) log::error("'{}' asked for {}: {}", name, id, log::one_line(restored.error()));
  };
  asio::co_spawn(exchange.executor(), sprites.restore(name, id), std::move(ended));
}

using Serve = std::function<asio::awaitable<void>(Exchange&, Sprites&, std::string)>;
using Tell = Answer (*)(Exchange&, Sprites&, std::string);

/// `name_of` tells whose checkpoints a request is about.
void add_routes(http::Router& router, Sprites& sprites, const std::string& prefix,
                const std::function<std::string(Exchange&)>& name_of, Who who, const Serve& restoring,
                const Wrap& wrap) {
  const auto serve = [&](const Serve& work) {
    return wrap(versioned(
        [&sprites, name_of, work](Exchange& exchange) { return work(exchange, sprites, name_of(exchange)); }));
  };
  const auto tell = [&](Tell work) {
    return wrap(versioned(answering(sprites, [name_of, work](Exchange& exchange, Sprites& all) {
      return work(exchange, all, name_of(exchange));
    })));
  };
  const auto creating = [who](Exchange& exchange, Sprites& all, std::string name) {
    return create(exchange, all, std::move(name), who);
  };
  router.add("POST", prefix + "/checkpoint", serve(creating))
      .add("GET", prefix + "/checkpoints", tell(list))
      .add("GET", prefix + "/checkpoints/{id}", tell(get))
      .add("DELETE", prefix + "/checkpoints/{id}", tell(remove))
      .add("POST", prefix + "/checkpoints/{id}/restore", serve(restoring));
}

}  // namespace

void add_checkpoint_routes(http::Router& router, Sprites& sprites) {
  router.add("GET", "/v1/sprites/{name}/checkpoints/diff", versioned([&sprites](Exchange& exchange) {
               return compare(exchange, sprites, exchange.parameter("name"));
             }));
  router.add("POST", "/v1/sprites/{name}/fsck", versioned([&sprites](Exchange& exchange) {
               return check_filesystem(exchange, sprites, exchange.parameter("name"));
             }));
  const auto name_of = [](Exchange& exchange) { return exchange.parameter("name"); };
  add_routes(router, sprites, "/v1/sprites/{name}", name_of, Who::owner, restore,
             [](http::Handler handler) { return handler; });
}

void add_own_checkpoint_routes(http::Router& router, Sprites& sprites, const std::string& name, const Wrap& wrap) {
  const auto restoring = std::make_shared<bool>(false);
  const auto restore_own = [restoring](Exchange& exchange, Sprites& all, std::string own) {
    return restore_behind(exchange, all, std::move(own), restoring);
  };
  add_routes(
      router, sprites, "/v1", [name](Exchange&) { return name; }, Who::guest, restore_own, wrap);
}

}  // namespace sprite::api
