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
  std::optional<std::string> from{};   ///< ours: "<sprite>" or "<sprite>@<checkpoint>", whose disk it begins with
  std::optional<bool> memory{};        ///< ours, with `from`: and whose memory, programs and all
};

struct UpdateRequest {
  std::optional<UrlSettings> url_settings{};
  std::optional<std::vector<std::string>> labels{};
  bool clear_labels = false;
  std::optional<std::string> sleep_after{}, sleep_deep_after{};  ///< ours: "30s", "never", or "default"
  std::optional<bool> pinned{};                                  ///< ours
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
  std::uint64_t disk_used_bytes = 0;                             ///< ours: host bytes of its volume
  std::optional<std::string> sleep_after{}, sleep_deep_after{};  ///< ours: where it differs from the settings
  bool pinned = false;                                           ///< ours: it does not fall asleep by itself
  std::string activity{};                                        ///< ours: why it does not sleep; may be empty
  /// ours: what it becomes by itself unless somebody uses it ("paused", "on the disk", "awake for its own timer"), and
  /// when, RFC 3339
  std::optional<std::string> next_change{}, next_change_at{};
  std::optional<std::string> timer_due_at{};  ///< ours: it sleeps, and wakes for a timer of its own that is due then
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

/// The body of `POST …/checkpoint`.
struct CheckpointRequest {
  std::optional<std::string> comment{};
  std::optional<bool> memory{};  ///< ours: the memory is kept as well, programs and all
};

/// "v<n>", "auto-<n>" (made by us, before a restore), or "Current": the disk as it is now, which is no checkpoint.
struct Checkpoint {
  std::string id{};
  std::string create_time{};
  std::optional<std::string> comment{};
  std::optional<std::string> source_id{};  ///< the checkpoint that it came after
  std::optional<std::string> health{};
  std::optional<bool> is_auto{};
  std::optional<bool> crash_consistent{};             ///< ours: true if its disk is as after a loss of power
  std::optional<bool> memory{};                       ///< ours: true if it has the memory as well
  std::optional<std::vector<std::string>> history{};  ///< source_id, that one's source_id, and so on
};

/// A line of the answer to making or restoring a checkpoint.
struct Progress {
  std::string type{};  ///< "info", "error" (the last), "complete" (the last)
  std::optional<std::string> data{}, error{};
  std::string time{};
  std::optional<std::string> checkpoint_id{};  ///< ours, when complete: the one made; of a restore, the safety one
  std::optional<bool> memory{};                ///< ours, when a restore is complete: programs are as they were, too
};

/// The answer of `POST /v1/images/<digest>/template` (ours).
struct TemplateMade {
  std::string outcome{};  ///< "made", "present" (it was there before), "off" (the settings want none)
};

/// The body of `POST …/fork` (ours).
struct ForkRequest {
  std::string name{};
  std::optional<std::string> checkpoint{};  ///< none: the disk as it is now
  std::optional<bool> memory{};             ///< the memory as well, programs and all
};

/// The bodies of `POST …/export` and `POST /v1/import` (ours): a file on the daemon's machine.
struct ExportRequest {
  std::string path{};
};
struct ImportRequest {
  std::string path{};
  std::optional<std::string> name{};  ///< none: the name that the file says
};

/// Where a sprite's bytes are on the host's disk (ours).
struct Usage {
  std::string name{};
  std::uint64_t apparent_bytes = 0;  ///< the size that the guest sees
  std::uint64_t local_bytes = 0;     ///< in files that only this sprite has
  std::uint64_t shared_bytes = 0;    ///< in files that it shares with its image or with forks
  std::uint64_t unsealed_bytes = 0;  ///< of these: not yet in packs
  std::uint64_t cached_bytes = 0;    ///< of local_bytes: in packs as well, kept because they are quick to read
  std::uint64_t memory_bytes = 0;    ///< in saved memory: of one that sleeps on the disk, of checkpoints
  std::uint64_t layers = 0, checkpoints = 0;
  std::optional<std::string> trouble{};  ///< what keeps it from being packed, or from being looked at
};

/// The body of `POST /v1/gc`, and its answer, which is also part of the usage (ours).
struct CollectRequest {
  bool dry_run = false;
};
struct Collected {
  std::uint64_t packs_needed = 0, bytes_needed = 0, packs_removed = 0, bytes_removed = 0;
  bool dry_run = false;
};

/// The answer to `GET /v1/usage` (ours).
struct UsageReport {
  std::vector<Usage> sprites{};
  Collected packs{};                           ///< as a dry run would say
  std::optional<std::string> packs_trouble{};  ///< why it could not
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

/// A checkpoint whose files a machine shows, and where it begins on the machine's disk of checkpoints.
struct ShownCheckpoint {
  std::string id{};
  std::uint64_t offset_bytes = 0;
};

/// The body of `POST /host/difference`: two checkpoints, or one and (without `to`) the disk as it is. The answer is a
/// line of JSON for each path: "A" (only in the second), "M" (in both, and not the same) or "D" (only in the first).
struct DifferenceRequest {
  ShownCheckpoint from{};
  std::optional<ShownCheckpoint> to{};
};
struct Difference {
  std::string change{}, path{};
};

/// What a check of the filesystem said (ours).
struct DiskCheck {
  std::int64_t exit_status = 0;  ///< e2fsck's: 0 clean, 1 and 2 mended, 4 not mended, more: it could not check
  std::string output{};
};

/// Told to the agent before anyone may enter (`POST /host/configure`).
struct Configure {
  std::string sprite_id{}, sprite_name{}, sprite_url{};  ///< No id: it is nobody's again, and nobody may enter.
  std::string hostname{};
  std::int64_t realtime_ns = 0;                      ///< Unix time
  std::string entropy{};                             ///< 64 random bytes in hex
  std::string machine_id{};                          ///< 32 hex digits, derived from sprite_id
  std::string mac_address{};                         ///< "52:54:00:…"; empty: as it is
  std::map<std::string, std::string> environment{};  ///< for every program
  std::vector<ShownCheckpoint> checkpoints{};
  bool drop_connections = false;  ///< Those to the outside are of another life: another sprite's, or before a restore.
};

/// A moment of the wall clock for which a program has set a timer.
struct Appointment {
  std::int64_t at_ms = 0;     ///< Since 1970.
  std::int64_t early_ms = 0;  ///< The machine has to be awake so long before, so that the program notices.
};

/// When a machine was last in use from inside, and by what (`GET /host/activity?near_ms=`).
struct Activity {
  double idle_s = 0;
  std::string reason{};  ///< "task 'backup' until …", "a program uses the processor"; may be empty
  std::optional<Appointment> near{}, next{};  ///< The first one less than `near_ms` away, and the first of the others.
};

/// A hold that keeps the sprite awake until it expires.
struct Task {
  std::string name{}, started_at{}, expires_at{};  ///< times are RFC 3339
};
struct TaskList {
  std::vector<Task> tasks{};
};

struct AgentStatus {
  std::string version{};
  std::string container{};  ///< "starting", "running", "failed"
  std::string detail{};     ///< why it failed; restarts
  std::uint64_t restarts = 0;
  double uptime_s = 0;
  bool settled = false;  ///< nothing that began with the boot is under way
};

}  // namespace sprite::wire
