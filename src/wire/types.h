#pragma once
/// The API's plain structs. Field names are the JSON names (json.h); an empty optional is left out.
/// Source: the public Sprites API (REST 0.1.x); fields marked "ours" are additions that its clients ignore.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace sprite::wire {

struct UrlSettings {
  std::string auth = "sprite";  ///< "sprite" or "public"
  std::optional<std::string> private_access{};
};

struct SpriteConfig {
  std::optional<std::uint64_t> ram_mb{};
  std::optional<std::uint64_t> cpus{};
  std::optional<std::string> region{};
  std::optional<std::uint64_t> storage_gb{};
};

struct CreateRequest {
  std::string name{};
  UrlSettings url_settings{};
  std::vector<std::string> labels{};
  std::optional<std::string> runtime{};  ///< "default" or "dev"
  SpriteConfig config{};
  std::map<std::string, std::string> environment{};
  std::optional<std::string> image{};  ///< ours: image name or digest
};

struct UpdateRequest {
  std::optional<UrlSettings> url_settings{};
  std::optional<std::vector<std::string>> labels{};
  bool clear_labels = false;
};

struct Sprite {
  std::string id{};  ///< "sprite-<uuid>"
  std::string name{};
  std::string organization{};
  std::string url{};
  UrlSettings url_settings{};
  std::string status{};                    ///< "cold", "warm" or "running"
  std::string created_at{}, updated_at{};  ///< RFC 3339
  std::optional<std::string> last_running_at{}, last_warming_at{};
  std::string version{}, environment_version{};
  std::vector<std::string> labels{};
  SpriteConfig config{};
  std::map<std::string, std::string> environment{};
  std::string image{};   ///< ours: "base@<digest>"
  std::string detail{};  ///< ours: what it is doing or why it is so: "booting", "guest powered off"; may be empty
  std::uint64_t disk_used_bytes = 0;  ///< ours: host bytes of its volume
};

/// How many sprites there are, by status. `name` is the organization's.
struct Counts {
  std::string name{};
  std::uint64_t running = 0, warm = 0, cold = 0;
  std::optional<std::uint64_t> running_limit{}, warm_limit{};
};

/// The answer to `GET /v1/sprites`. The counters are there twice: some clients read them at the top, others in `org`.
struct SpriteList {
  std::vector<Sprite> sprites{};
  bool has_more = false;
  std::optional<std::string> next_continuation_token{};
  std::string name{};
  std::uint64_t running = 0, warm = 0, cold = 0;
  std::optional<std::uint64_t> running_limit{}, warm_limit{};
  Counts org{};
};

/// A line of the watched list: a sprite's change (a destroyed one has the status "destroyed"), or a heartbeat.
struct ListEvent {
  std::optional<std::string> type{};  ///< "heartbeat"; none for a change
  std::optional<std::string> name{}, status{}, running_version{};
  std::optional<std::string> last_running_at{}, last_warming_at{};
  std::string timestamp{};
  Counts org{};
};

/// The answer to `POST …/restart`.
struct Restarted {
  std::string sprite_name{}, machine_id{}, message{};
};

/// The answer to `GET …/check`: "healthy" or "unhealthy", with the reason.
struct Check {
  std::string sprite_name{}, sprite_id{}, status{};
  std::optional<std::string> reason{};
  std::string checked_at{};
  std::optional<double> elapsed{};  ///< seconds that the check took
};

struct Session {
  std::string id{}, command{}, workdir{}, created{}, last_activity{};
  double bytes_per_second = 0;
  bool is_active = false;
  bool tty = false;
};

/// The answer to `GET …/exec` without an upgrade.
struct SessionList {
  std::vector<Session> sessions{};
  std::uint64_t count = 0;
};

/// What `GET /v1/daemon` tells (ours): used by `sprite daemon status` and `sprite doctor`.
struct DaemonStatus {
  std::string version{};
  std::int64_t pid = 0;
  std::string started_at{};
  std::string socket{}, url{};
  std::string accelerator{}, accelerator_reason{}, qemu_version{}, libvirt_version{}, network{};
  std::uint64_t sprites = 0, running = 0;
};

/// Told to the agent before anyone may enter (`POST /host/configure`).
struct Configure {
  std::string sprite_id{}, sprite_name{}, sprite_url{};
  std::string hostname{};
  std::int64_t realtime_ns = 0;                      ///< Unix time
  std::string entropy{};                             ///< 64 random bytes in hex
  std::string machine_id{};                          ///< 32 hex digits, derived from sprite_id
  std::map<std::string, std::string> environment{};  ///< for every program
};

struct AgentStatus {
  std::string version{};
  std::string container{};  ///< "starting", "running", "failed"
  std::string detail{};     ///< why it failed; restarts
  std::uint64_t restarts = 0;
  double uptime_s = 0;
};

}  // namespace sprite::wire
