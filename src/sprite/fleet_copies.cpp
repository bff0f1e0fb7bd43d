// Fleet: sprites made of others (fork, import), files made of sprites (export), and what all of them need (usage,
// collecting).
#include <algorithm>

#include "base/directory.h"
#include "base/log.h"
#include "base/text.h"
#include "sprite/checkpoints.h"
#include "sprite/fleet.h"
#include "sprite/on_pool.h"
#include "store/collector.h"
#include "store/portable.h"

namespace sprite {
namespace {

/// A folder that is removed with what is in it; its name begins with a dot, so that the next start removes it, too.
class Scratch {
 public:
  explicit Scratch(Path path) : path_(std::move(path)) {}
  ~Scratch() { (void)remove_tree(path_); }
  Scratch(const Scratch&) = delete;
  const Path& path() const { return path_; }

 private:
  Path path_;
};

Result<std::vector<Path>> look_for_volumes(const Path& sprites) {
  std::vector<Path> found;
  std::error_code failed;
  for (std::filesystem::directory_iterator each(sprites, failed), end; !failed && each != end; each.increment(failed)) {
    const Path& folder = each->path();
    std::error_code unreadable;
    if (folder.filename().string().starts_with(".gone-")) continue;
    if (std::filesystem::exists(folder / "volume.db", unreadable)) found.push_back(folder);
    if (unreadable) return system_error("cannot look into '" + folder.string() + "'", unreadable.value());
    if (folder.filename().string().starts_with("sprite-") && (found.empty() || found.back() != folder))
      return Error{Error::Kind::corrupt,
                   "what the sprite in '" + folder.string() + "' needs is not known: its volume.db is missing",
                   "put it back, or destroy the sprite that `sprite list` shows as damaged",
                   {}};
  }
  if (failed) return system_error("cannot read '" + sprites.string() + "'", failed.value());
  return found;
}

/// The folder of every volume there is or will be. One that is being removed needs nothing any more. One that gets its
/// name while we look may be met under neither of its names: a second look finds it.
Result<std::vector<Path>> volumes_in(const Path& sprites) {
  TRY_LET(const std::vector<Path> first, look_for_volumes(sprites));
  TRY_LET(std::vector<Path> found, look_for_volumes(sprites));
  for (const Path& each : first)
    if (std::ranges::find(found, each) == found.end()) found.push_back(each);
  return found;
}

Error must_be_absolute(const std::string& path) {
  return Error{Error::Kind::invalid, "the path '" + path + "' does not begin with '/'"};
}

}  // namespace

Result<wire::CreateRequest> Fleet::with_settings_of_source(wire::CreateRequest request) const {
  if (request.image) return Error{Error::Kind::invalid, "a fork has its source's image", "leave the image out", {}};
  TRY_LET(const EntryPtr source, find(parse_source(*request.from).name));
  const Record& record = source->record;
  const bool other_machine = request.config.ram_mb.value_or(record.memory_bytes / MiB) != record.memory_bytes / MiB ||
                             request.config.cpus.value_or(record.vcpus) != record.vcpus;
  if (request.memory.value_or(false) && other_machine)
    return Error{Error::Kind::invalid, "a fork with memory has as much memory and as many processors as its source"};
  request.image = record.image;
  if (!request.config.ram_mb) request.config.ram_mb = record.memory_bytes / MiB;
  if (!request.config.cpus) request.config.cpus = record.vcpus;
  if (request.environment.empty()) request.environment = record.environment;
  if (request.labels.empty()) request.labels = record.labels;
  return request;
}

asio::awaitable<Result<>> Fleet::fork_folder(EntryPtr entry, std::string from) {
  const auto [name, id] = parse_source(from);
  CO_TRY_LET(const Claim source, co_await claim(name, "fork"));
  CO_TRY(co_await rouse(source.entry));
  take_sleep_settings(entry->record, source.entry->record);
  std::optional<std::int64_t> number;
  if (!id.empty()) {
    CO_TRY_LET(const store::History all, co_await history(source.entry));
    CO_TRY_LET(const store::Checkpoint checkpoint, find_checkpoint(all, id));
    number = checkpoint.number;
  }
  std::function<Result<>(store::Volume&)> work = [this, entry, number](store::Volume& volume) {
    return make_folder(entry->record, [&](const Path& folder, store::FillDatabase rows) {
      return volume.fork(folder, number, std::move(rows));
    });
  };
  if (number) co_return co_await source.entry->machine.with_volume<void>(std::move(work));
  std::string ignored;  // a fork's filesystem recovers from any instant
  co_return co_await source.entry->machine.at_rest<void>(std::move(work), ignored);
}

asio::awaitable<Result<>> Fleet::export_to(std::string name, std::string path) {
  if (!path.starts_with('/')) co_return must_be_absolute(path);
  const auto scratch = std::make_shared<Scratch>(host_.sprites_dir() / (".export-" + random_uuid()));
  std::string description;
  {
    CO_TRY_LET(const Claim source, co_await claim(name, "export"));
    CO_TRY(co_await rouse(source.entry));
    description = to_json(source.entry->record);
    std::function<Result<>(store::Volume&)> fork = [scratch](store::Volume& volume) -> Result<> {
      TRY(make_directories(scratch->path() / "run"));
      return volume.fork(scratch->path());
    };
    std::string ignored;
    CO_TRY(co_await source.entry->machine.at_rest<void>(std::move(fork), ignored));
  }
  auto write = [this, scratch, description, path]() -> Result<> {
    TRY_LET(const auto volume, host_.open_volume_at(scratch->path(), scratch->path() / "run"));
    return store::export_volume(*volume, description, path);
  };
  auto written = co_await on_pool(host_.pool(), write);
  if (!written) co_return std::move(written).error().within("cannot export sprite '" + name + "'");
  log::info("sprite '{}' is exported to '{}'", name, path);
  co_return written;
}

asio::awaitable<Result<wire::Sprite>> Fleet::import_from(wire::ImportRequest request) {
  if (!request.path.starts_with('/')) co_return must_be_absolute(request.path);
  const std::string doing = "cannot import '" + request.path + "'";
  auto read = [path = request.path]() -> Result<Record> {
    TRY_LET(const store::PortableHeader header, store::read_portable_header(path));
    TRY_LET(Record record, record_from_json(header.description));
    for (const auto& time : {record.sleep_after, record.sleep_deep_after})
      if (time) TRY(parse_sleep_time(*time));
    return record;
  };
  auto exported = co_await on_pool(host_.pool(), read);
  if (!exported) co_return std::move(exported).error().within(doing);
  wire::CreateRequest wanted;
  wanted.name = request.name.value_or(exported->name);
  wanted.config.ram_mb = exported->memory_bytes / MiB;
  wanted.config.cpus = exported->vcpus;
  wanted.environment = exported->environment;
  wanted.labels = exported->labels;
  // The disk is whole; the image gives the kernel only, so that another of its name will do, or the default one.
  for (const std::string& image : {exported->image, exported->image_name})
    if (!wanted.image && host_.images().find(image)) wanted.image = image;
  if (!wanted.image && !host_.images().find(host_.options().default_image)) {
    co_return Error(
        Error::Kind::not_found, doing,
        "sprite image build, or where it was exported: `sprite image export " + exported->image_name +
            "`, and here `sprite image import` of that file",
        {"there is no image to boot it with; it was made from " + exported->image_name + "@" + exported->image});
  }
  auto made_record = new_record(wanted);
  if (!made_record) co_return std::move(made_record).error().within(doing);
  Record record = *std::move(made_record);
  take_sleep_settings(record, *exported);
  auto entry = std::make_shared<Entry>(host_, std::move(record));
  entry->phase = Phase::creating;
  entries_[entry->record.name] = entry;
  const Turns::Turn turn = co_await entry->turns.take();
  auto make = [this, entry, path = request.path] {
    return make_folder(entry->record, [&](const Path& folder, store::FillDatabase rows) -> Result<> {
      TRY(store::import_volume(path, folder, std::move(rows)));
      return {};
    });
  };
  auto made = co_await on_pool(host_.pool(), make);
  if (!made) {
    (void)co_await discard(entry);  // the first failure is the one to tell
    co_return std::move(made).error().within(doing);
  }
  enter(*entry, Phase::stopped, "imported; not started yet");
  co_return to_wire(*entry);
}

asio::awaitable<Result<wire::Usage>> Fleet::usage(std::string name) {
  CO_TRY_LET(const Claim claimed, co_await claim(name, "measuring"));
  std::function<Result<wire::Usage>(store::Volume&)> look = [](store::Volume& volume) -> Result<wire::Usage> {
    TRY_LET(const store::Usage of_volume, volume.usage());
    wire::Usage usage;
    usage.apparent_bytes = of_volume.apparent_bytes;
    usage.local_bytes = of_volume.local_bytes;
    usage.shared_bytes = of_volume.shared_bytes;
    usage.unsealed_bytes = of_volume.unsealed_bytes;
    usage.cached_bytes = of_volume.cached_bytes;
    usage.layers = of_volume.layers;
    usage.checkpoints = of_volume.checkpoints;
    if (const auto failure = volume.upkeep_failure()) usage.trouble = "it cannot be packed now: " + failure->what;
    return usage;
  };
  CO_TRY_LET(wire::Usage usage, co_await claimed.entry->machine.with_volume<wire::Usage>(std::move(look)));
  usage.name = name;
  auto measure = [entry = claimed.entry]() -> Result<std::uint64_t> { return entry->machine.saved_memory_bytes(); };
  CO_TRY_LET(usage.memory_bytes, co_await on_pool(host_.pool(), measure));
  co_return usage;
}

store::Volumes Fleet::volumes() const {
  return [folder = host_.sprites_dir()] { return volumes_in(folder); };
}

asio::awaitable<Result<wire::Collected>> Fleet::collect(wire::CollectRequest request) {
  auto run = [this, dry_run = request.dry_run]() -> Result<wire::Collected> {
    const store::CollectPolicy policy{.dry_run = dry_run ? store::DryRun::yes : store::DryRun::no};
    TRY_LET(const store::Collected collected, store::collect_packs(host_.packs(), volumes(), policy));
    return wire::Collected{collected.packs_needed, collected.bytes_needed, collected.packs_removed,
                           collected.bytes_removed, dry_run};
  };
  auto collected = co_await on_pool(host_.pool(), run);
  if (!collected) co_return std::move(collected).error().within("cannot collect what no sprite needs");
  co_return collected;
}

}  // namespace sprite
