#pragma once
/// Sprites without machines: a map, and one agent server for all of them.
#include <boost/asio/co_spawn.hpp>
#include <map>
#include <set>

#include "base/text.h"
#include "http/server.h"
#include "sprite/sprites.h"
#include "unit/http/loop.h"

namespace sprite::test {

class FakeSprites : public Sprites {
 public:
  explicit FakeSprites(Loop& loop) : loop_(loop), agent_(loop.executor(), agent_router_) {}

  asio::awaitable<Result<wire::Sprite>> create(wire::CreateRequest request) override {
    CO_TRY(check_sprite_name(request.name));
    if (sprites_.count(request.name))
      co_return Error(Error::Kind::exists, "there is a sprite called '" + request.name + "' already");
    if (request.name == "full")
      co_return Error(Error::Kind::no_space, "no space is left for a disk", "remove a sprite");
    wire::Sprite sprite;
    sprite.id = "sprite-" + request.name;
    sprite.name = request.name;
    sprite.organization = "local";
    sprite.status = "running";
    sprite.created_at = sprite.updated_at = format_time(std::chrono::system_clock::now());
    sprite.labels = request.labels;
    sprite.config = request.config;
    sprite.environment = request.environment;
    if (request.from) sprite.detail = "from " + *request.from;
    co_return set(std::move(sprite));
  }
  Result<wire::Sprite> get(const std::string& name) const override {
    const auto found = sprites_.find(name);
    if (found == sprites_.end())
      return Error(Error::Kind::not_found, "no sprite is called '" + name + "'", "run `sprite list` to see the names");
    return found->second;
  }
  std::vector<wire::Sprite> list() const override {
    std::vector<wire::Sprite> all;
    for (const auto& [name, sprite] : sprites_) all.push_back(sprite);
    return all;
  }
  asio::awaitable<void> measure_disks() override { co_return; }
  asio::awaitable<Result<wire::Sprite>> update(std::string name, wire::UpdateRequest request) override {
    CO_TRY_LET(wire::Sprite sprite, get(name));
    if (request.labels) sprite.labels = *request.labels;
    if (request.clear_labels) sprite.labels.clear();
    if (request.url_settings) sprite.url_settings = *request.url_settings;
    if (request.pinned) sprite.pinned = *request.pinned;
    co_return set(std::move(sprite));
  }
  asio::awaitable<Result<>> destroy(std::string name) override {
    CO_TRY_LET(const wire::Sprite sprite, get(name));
    sprites_.erase(name);
    tell(sprite);
    co_return Result<>{};
  }
  asio::awaitable<Result<wire::Sprite>> start(std::string name) override { return become(std::move(name), "running"); }
  asio::awaitable<Result<wire::Sprite>> stop(std::string name) override { return become(std::move(name), "cold"); }
  asio::awaitable<Result<wire::Sprite>> restart(std::string name) override {
    return become(std::move(name), "running");
  }
  asio::awaitable<Result<wire::Sprite>> sleep(std::string name, Depth depth, IfInUse if_in_use, Wait) override {
    if (name == "used" && if_in_use == IfInUse::refuse) {
      co_return Error(Error::Kind::busy, "sprite '" + name + "' is in use");
    }
    co_return co_await become(std::move(name), depth == Depth::cold ? "cold" : "warm");
  }
  std::string going_on(const std::string&) const override { return occupied; }
  asio::awaitable<Result<>> check_room_for_checkpoint(std::string name) override {
    CO_TRY(get(name));
    if (checkpoints_[name].size() >= checkpoints_max) co_return Error(Error::Kind::no_space, "too many", "delete some");
    co_return Result<>{};
  }
  asio::awaitable<Result<Checkpointed>> checkpoint(std::string name, wire::CheckpointRequest request) override {
    const std::string comment = request.comment.value_or("");
    CO_TRY(get(name));
    if (comment == "full") co_return Error(Error::Kind::no_space, "no space is left", "remove a sprite");
    most_under_way = std::max(most_under_way, ++under_way);
    if (checkpoint_time.count() > 0) co_await test::sleep(checkpoint_time);
    --under_way;
    Checkpointed made;
    made.checkpoint.id = "v" + std::to_string(next_checkpoint_++);
    made.checkpoint.create_time = format_time(std::chrono::system_clock::now());
    if (!comment.empty()) made.checkpoint.comment = comment;
    if (guest_silent) made.note = "the guest did not answer";
    checkpoints_[name].push_back(made.checkpoint);
    co_return made;
  }
  asio::awaitable<Result<std::vector<wire::Checkpoint>>> checkpoints(std::string name) override {
    CO_TRY(get(name));
    std::vector<wire::Checkpoint> all = checkpoints_[name];
    for (std::size_t i = 1; i < all.size(); ++i) {
      all[i].source_id = all[i - 1].id;
      all[i].history = all[i - 1].history.value_or(std::vector<std::string>());
      all[i].history->insert(all[i].history->begin(), all[i - 1].id);
    }
    all.emplace_back().id = "Current";
    co_return all;
  }
  asio::awaitable<Result<FilesystemChecked>> check_filesystem(std::string name) override {
    if (!sprites_.contains(name)) co_return Error(Error::Kind::not_found, "no sprite is called '" + name + "'");
    FilesystemChecked done;
    done.before.id = "auto-0";
    done.check.exit_status = filesystem_status;
    done.check.output = "Pass 1: Checking inodes, blocks, and sizes\n";
    co_return done;
  }
  std::int64_t filesystem_status = 0;
  asio::awaitable<Result<Comparing>> compare(std::string name, std::string, std::string) override {
    co_return Error(Error::Kind::unavailable, "'" + name + "' has no agent");
  }
  asio::awaitable<Result<wire::TemplateMade>> make_template(std::string image) override {
    if (image != "there") co_return Error(Error::Kind::not_found, "there is no image '" + image + "'");
    co_return wire::TemplateMade{"made"};
  }
  asio::awaitable<Result<>> remove_checkpoint(std::string name, std::string id) override {
    CO_TRY(get(name));
    auto& all = checkpoints_[name];
    const auto found = std::ranges::find(all, id, &wire::Checkpoint::id);
    if (found == all.end()) co_return Error(Error::Kind::not_found, "there is no checkpoint '" + id + "'");
    if (id == all.back().id) co_return Error(Error::Kind::busy, "the disk is based on it");
    all.erase(found);
    co_return Result<>{};
  }
  asio::awaitable<Result<Checkpointed>> restore(std::string name, std::string) override {
    CO_TRY(get(name));
    if (checkpoint_time.count() > 0) co_await test::sleep(checkpoint_time);
    Checkpointed before;
    before.checkpoint.id = "auto-" + std::to_string(next_checkpoint_++);
    before.checkpoint.is_auto = true;
    before.programs_too = restores_programs;
    checkpoints_[name].push_back(before.checkpoint);
    co_return before;
  }
  bool restores_programs = false;
  asio::awaitable<Result<>> export_to(std::string name, std::string path) override {
    CO_TRY(get(name));
    exported_to = path;
    co_return Result<>{};
  }
  asio::awaitable<Result<wire::Sprite>> import_from(wire::ImportRequest request) override {
    wire::CreateRequest wanted;
    wanted.name = request.name.value_or("imported");
    co_return co_await create(std::move(wanted));
  }
  asio::awaitable<Result<wire::Usage>> usage(std::string name) override {
    CO_TRY(get(name));
    wire::Usage usage;
    usage.name = name;
    usage.local_bytes = 4096;
    co_return usage;
  }
  asio::awaitable<Result<wire::Collected>> collect(wire::CollectRequest request) override {
    co_return wire::Collected{1, 100, 2, 200, request.dry_run};
  }
  asio::awaitable<Result<Stream>> connect(std::string name) override {
    if (wake_time.count() > 0) co_await test::sleep(wake_time);
    if (wake_failure) co_return *wake_failure;
    CO_TRY(co_await become(name, "running"));
    ++connections;
    auto [near, far] = loop_.pair();
    agent_.serve(std::move(far));
    co_return std::move(near);
  }
  asio::awaitable<Result<wire::AgentStatus>> agent_status(std::string name) override {
    CO_TRY(get(name));
    if (agent_broken) co_return Error(Error::Kind::unavailable, "the agent does not answer");
    wire::AgentStatus status;
    status.container = "running";
    co_return status;
  }
  Result<> startable(const std::string&) const override { return able; }
  Result<std::string> console_log(const std::string& name) const override {
    TRY(get(name));
    return std::string("one\ntwo\nthree\n");
  }
  std::shared_ptr<void> watch(std::function<void(const wire::Sprite&)> changed) override {
    auto watcher = std::make_shared<std::function<void(const wire::Sprite&)>>(std::move(changed));
    watchers_.push_back(watcher);
    return watcher;
  }
  void on_guest(std::function<void(const std::string&, Stream)> serve) override { serve_guest = std::move(serve); }
  wire::DaemonStatus daemon_status() const override {
    wire::DaemonStatus status;
    status.version = "9.9";
    return status;
  }
  void close() override {}

  http::Router& agent_router() { return agent_router_; }
  std::size_t watchers() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(watchers_, [](const auto& watcher) { return !watcher.expired(); }));
  }

  std::chrono::milliseconds wake_time{0}, checkpoint_time{0};
  std::size_t checkpoints_max = 1000;
  std::string occupied;
  int under_way = 0, most_under_way = 0;  ///< Checkpoints being made.
  std::optional<Error> wake_failure{};
  bool agent_broken = false, guest_silent = false;
  Result<> able{};  ///< Whether sprites could start.
  std::string exported_to{};
  std::function<void(const std::string&, Stream)> serve_guest{};
  int connections = 0;

 private:
  Result<wire::Sprite> set(wire::Sprite sprite) {
    sprites_[sprite.name] = sprite;
    tell(sprite);
    return sprite;
  }
  asio::awaitable<Result<wire::Sprite>> become(std::string name, std::string status) {
    CO_TRY_LET(wire::Sprite sprite, get(name));
    sprite.status = std::move(status);
    co_return set(std::move(sprite));
  }
  void tell(const wire::Sprite& sprite) {
    for (const auto& each : watchers_)
      if (const auto watcher = each.lock()) (*watcher)(sprite);
  }

  Loop& loop_;
  std::map<std::string, std::vector<wire::Checkpoint>> checkpoints_;
  int next_checkpoint_ = 0;
  std::map<std::string, wire::Sprite> sprites_;
  std::vector<std::weak_ptr<std::function<void(const wire::Sprite&)>>> watchers_;
  http::Router agent_router_;
  http::Server agent_;
};

}  // namespace sprite::test
