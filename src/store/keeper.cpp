#include "store/keeper.h"

#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <set>

#include "base/failpoint.h"
#include "store/new_volume.h"
#include "store/sealer.h"

namespace sprite::store {
namespace {

/// The number in "<n>.img", "<n>.bits" or "<n>.bits.new"; nothing for other names.
std::optional<std::int64_t> layer_number(const Path& file) {
  const std::string name = file.filename().string();
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), number);
  const std::string_view rest(end, static_cast<std::size_t>(name.data() + name.size() - end));
  if (failed != std::errc{} || (rest != ".img" && rest != ".bits" && rest != ".bits.new")) return std::nullopt;
  return number;
}

/// Removes the layer files in `directory` whose number `keep` does not have.
Result<> remove_layer_files(const Path& directory, const std::set<std::int64_t>& keep) {
  std::error_code failed;
  std::vector<Path> orphans;
  for (std::filesystem::directory_iterator each(directory, failed), end; !failed && each != end;
       each.increment(failed)) {
    const auto number = layer_number(each->path());
    if (number && !keep.contains(*number)) orphans.push_back(each->path());
  }
  if (failed) return system_error("cannot list '" + directory.string() + "'", failed.value());
  for (const Path& orphan : orphans)
    if (::unlink(orphan.c_str()) != 0 && errno != ENOENT)
      return system_error("cannot remove '" + orphan.string() + "'");
  return {};
}

Result<> link_file(const Path& from, const Path& to) {
  if (::link(from.c_str(), to.c_str()) != 0)
    return system_error("cannot link '" + from.string() + "' to '" + to.string() + "'");
  return {};
}

}  // namespace

Chain chain_of(const Layers& layers) {
  std::vector<Chain::Source> sources;
  for (const auto& layer : layers.lower) sources.push_back({layer->file(), &layer->states()});
  return Chain(std::move(sources), layers.packed, Chain::Source{layers.image->file(), &layers.image->states()});
}

bool is_unsealed(const LayerRow& row) { return row.local && !row.root && row.number != image_layer; }

Result<std::unique_ptr<Keeper>> Keeper::open(const Path& directory, const Path& runtime_directory,
                                             std::shared_ptr<PackStore> packs) {
  if (::access((directory / "volume.db").c_str(), F_OK) != 0)
    return system_error("there is no disk in '" + directory.string() + "'");
  TRY_LET(std::optional<FileLock> lock, FileLock::try_take(directory / "volume.lock"));
  if (!lock) return Error{Error::Kind::busy, "the disk in '" + directory.string() + "' is open in another process"};
  TRY_LET(Catalogue catalogue, Catalogue::open(directory));
  std::unique_ptr<Keeper> keeper(
      new Keeper(*std::move(lock), std::move(catalogue), runtime_directory, std::move(packs)));
  TRY(keeper->locked([&] { return keeper->remove_orphans(); }));
  // Following begins first: what is moved after the layers were read is told.
  if (keeper->packs_) keeper->follower_.emplace(*keeper->packs_, [&keeper = *keeper] { return keeper.follow_moves(); });
  TRY(keeper->locked([&] { return keeper->open_layers(); }));
  return keeper;
}

Result<> Keeper::remove_orphans() {
  TRY_LET(const std::int64_t top, catalogue_.top());
  TRY_LET(const auto rows, catalogue_.layers());
  std::set<std::int64_t> local;
  for (const LayerRow& row : rows)
    if (row.local) local.insert(row.number);
  TRY(remove_layer_files(catalogue_.image().parent_path(), local));
  return remove_layer_files(runtime_directory_, {top});
}

Result<> Keeper::open_layers() {
  TRY_LET(const std::int64_t number, catalogue_.top());
  TRY_LET(const auto chain, catalogue_.chain(number));
  TRY_LET(Layers layers, layers_for(std::span(chain).subspan(1)));
  TRY_LET(layers.top, TopLayer::open(catalogue_.files(number, chain.front().id), runtime_directory_));
  disk_ = std::make_unique<Disk>(catalogue_.size_bytes(), std::move(layers));
  return {};
}

/// The collector has moved objects, and volume.db names others.
Result<> Keeper::follow_moves() {
  std::lock_guard one(changing_);
  if (!disk_ || closed_) return {};
  forget_views();
  return refresh();
}

Result<Layers> Keeper::layers_for(std::span<const LayerRow> chain) {
  Layers layers;
  std::optional<Root> root;
  std::optional<std::int64_t> next = chain.front().number;
  for (const LayerRow& row : chain) {
    if (!root) root = row.root;
    if (row.number == image_layer || next != row.number) continue;  // folded away, or below what is local
    if (!row.local) {
      next.reset();
      continue;
    }
    TRY_LET(LayerPointer opened, layer(row));
    layers.lower.push_back(std::move(opened));
    next = row.local_below;
  }
  if (root && !packs_)
    return Error{Error::Kind::invalid,
                 "the disk in '" + catalogue_.image().parent_path().string() + "' needs its packs"};
  if (root) layers.packed = std::make_shared<const PackedMap>(cache_, *root);
  TRY_LET(layers.image, layer(chain.back()));
  return layers;
}

Result<Keeper::LayerPointer> Keeper::layer(const LayerRow& row) {
  if (disk_) {
    const auto known = disk_->with_layers([&](const Layers& layers) -> LayerPointer {
      if (row.number == image_layer) return layers.image;
      const auto found = std::ranges::find(layers.lower, row.number, [](const auto& each) { return each->number(); });
      return found == layers.lower.end() ? nullptr : *found;
    });
    if (known) return known;
  }
  if (row.number == image_layer) return Layer::open_image(catalogue_.image(), catalogue_.size_bytes());
  return Layer::open(catalogue_.files(row.number, row.id));
}

Result<> Keeper::close() {
  std::lock_guard one(changing_);
  TRY(disk_->flush());
  if (spare_) {
    spare_->layer->forget_twin();
    remove_files(spare_->row);
    spare_.reset();
  }
  disk_->with_layers([](const Layers& layers) { layers.top->forget_twin(); });
  closed_ = true;
  return {};
}

Result<> Keeper::prepare_spare() {
  if (uncertain_)
    return Error{
        Error::Kind::unavailable, "an earlier change of the disk's layers failed", "stop and start the sprite", {}};
  if (spare_) return {};
  Spare spare;
  TRY_LET(spare.row.number, catalogue_.next_layer());
  std::ranges::copy(random_bytes(sizeof(LayerId)), spare.row.id.begin());
  const LayerFiles files = catalogue_.files(spare.row.number, spare.row.id);
  auto made = [&]() -> Result<> {
    std::vector<Fd> written;
    TRY_LET(Fd states, TopLayer::create(files));
    written.push_back(std::move(states));
    TRY(sync_together(written, files.directory));
    TRY_LET(spare.layer, TopLayer::open(files, runtime_directory_));
    return {};
  }();
  if (!made) {
    remove_files(spare.row);
    return made;
  }
  spare_ = std::move(spare);
  return {};
}

void Keeper::remove_files(const LayerRow& row) {
  const LayerFiles files = catalogue_.files(row.number, row.id);
  ::unlink(files.image().c_str());
  ::unlink(files.states().c_str());
}

Result<meta::Transaction> Keeper::begin() {
  if (uncertain_)
    return Error{
        Error::Kind::unavailable, "an earlier change of the disk's layers failed", "stop and start the sprite", {}};
  return catalogue_.begin();
}

Result<> Keeper::commit(meta::Transaction transaction) {
  auto committed = std::move(transaction).commit();
  // Without space nothing was written that a reader would take for a commit; after another failure that is not known.
  if (!committed && committed.error().kind != Error::Kind::no_space) uncertain_ = true;
  return committed;
}

/// Flushes while the guest goes on, so that little is left to be flushed while it has to wait; about as much as can be
/// flushed in the time that is returned.
Result<std::chrono::steady_clock::duration> Keeper::flush_most() {
  constexpr int rounds_max = 4;
  constexpr auto little = std::chrono::milliseconds(10);
  std::chrono::steady_clock::duration took{};
  for (int round = 0; round < rounds_max; ++round) {
    const auto begun = std::chrono::steady_clock::now();
    TRY(disk_->flush());
    took = std::chrono::steady_clock::now() - begun;
    if (took < little) break;
  }
  return took;
}

template <class Also>
Result<> Keeper::push(std::optional<Below> below, Also also) {
  TRY(prepare_spare());
  failpoint(Failpoint::cut_prepared);
  TRY(flush_most());
  return disk_->exchange([&](Layers& layers) -> Result<> {
    TRY(layers.top->flush());
    failpoint(Failpoint::cut_flushed);
    TRY_LET(Mapping states, layers.top->states_copy());
    const std::int64_t old_top = layers.top->number();
    LayerRow& row = spare_->row;
    row.parent = row.local_below = below ? below->number : old_top;
    auto changed = [&]() -> Result<> {
      TRY_LET(meta::Transaction transaction, begin());
      TRY(catalogue_.insert(row));
      TRY(catalogue_.set_top(row.number));
      TRY(catalogue_.set_next_layer(row.number + 1));
      TRY(also(old_top));
      return commit(std::move(transaction));
    }();
    TRY(changed);
    failpoint(Failpoint::cut_committed);
    LayerPointer frozen = std::move(*layers.top).freeze(std::move(states));
    layers.top = std::move(spare_->layer);
    spare_.reset();
    if (below) {
      layers.lower = std::move(below->layers.lower);
      layers.packed = std::move(below->layers.packed);
    } else {
      layers.lower.insert(layers.lower.begin(), std::move(frozen));
    }
    return {};
  });
}

Result<> Keeper::cut() {
  std::lock_guard one(changing_);
  return push({}, [](std::int64_t) { return Result<>(); });
}

Result<bool> Keeper::cut_between_writes() {
  constexpr auto moment = std::chrono::milliseconds(50);
  std::lock_guard one(changing_);
  TRY_LET(const auto left, flush_most());
  if (left > moment) return false;
  TRY(push({}, [](std::int64_t) { return Result<>(); }));
  return true;
}

bool Keeper::was_written() {
  return disk_->with_layers([](const Layers& layers) { return !layers.top->is_empty(); });
}

/// The id of the newest layer below the top that holds anything.
Result<std::string> Keeper::name_of_instant() {
  TRY_LET(const std::int64_t top, catalogue_.top());
  TRY_LET(const auto chain, catalogue_.chain(top));
  for (const LayerRow& row : std::span(chain).subspan(1)) {
    if (row.number == image_layer) break;
    const bool is_empty = disk_->with_layers([&](const Layers& layers) {
      const auto found = std::ranges::find(layers.lower, row.number, [](const auto& each) { return each->number(); });
      return found != layers.lower.end() &&
             std::ranges::none_of((*found)->states().words(), [](std::uint64_t word) { return word != 0; });
    });
    if (!is_empty) return to_hex(std::as_bytes(std::span(row.id)));
  }
  return std::string("image");
}

Result<std::string> Keeper::mark_instant() {
  std::lock_guard one(changing_);
  if (was_written()) TRY(push({}, [](std::int64_t) { return Result<>(); }));
  return name_of_instant();
}

Result<std::optional<std::string>> Keeper::instant() {
  std::lock_guard one(changing_);
  if (was_written()) return std::optional<std::string>();
  TRY_LET(std::string name, name_of_instant());
  return std::optional(std::move(name));
}

Result<> Keeper::prepare() {
  std::lock_guard one(changing_);
  return prepare_spare();
}

Result<Checkpoint> Keeper::checkpoint(std::string comment, Automatic automatic, Consistency consistency) {
  std::lock_guard one(changing_);
  Checkpoint made;
  TRY(push({}, [&](std::int64_t layer) -> Result<> {
    TRY_LET(made, catalogue_.add_checkpoint(layer, automatic, consistency, std::move(comment)));
    failpoint(Failpoint::checkpoint_row);
    return {};
  }));
  return made;
}

Result<std::vector<Checkpoint>> Keeper::checkpoints() {
  std::lock_guard one(changing_);
  return catalogue_.checkpoints();
}

Result<Checkpoint> Keeper::restore(std::int64_t number, Consistency present) {
  std::lock_guard one(changing_);
  TRY_LET(const Checkpoint target, catalogue_.checkpoint(number));
  TRY_LET(const auto chain, catalogue_.chain(target.layer));
  TRY_LET(Layers layers, layers_for(chain));
  Checkpoint before;
  TRY(push(Below{target.layer, std::move(layers)}, [&](std::int64_t layer) -> Result<> {
    TRY_LET(before, catalogue_.add_checkpoint(layer, Automatic::yes, present, "before restoring " + name_of(target)));
    failpoint(Failpoint::restore_row);
    return {};
  }));
  failpoint(Failpoint::restore_switched);
  return before;
}

Result<> Keeper::remove_checkpoint(std::int64_t number) {
  std::lock_guard one(changing_);
  TRY_LET(const auto before, catalogue_.layers());
  TRY_LET(meta::Transaction transaction, begin());
  TRY(catalogue_.remove_checkpoint(number));
  TRY(commit(std::move(transaction)));
  failpoint(Failpoint::delete_committed);
  if (packs_) packs_->note_spent();
  return remove_unneeded_files(before);
}

/// Removes the files of the layers in `before` that volume.db no longer says to be local.
Result<> Keeper::remove_unneeded_files(const std::vector<LayerRow>& before) {
  TRY_LET(const auto now, catalogue_.layers());
  std::set<std::int64_t> local;
  for (const LayerRow& row : now)
    if (row.local) local.insert(row.number);
  end_views();
  for (const LayerRow& row : before)
    if (row.local && !local.contains(row.number)) remove_files(row);
  return {};
}

Result<> Keeper::fork(const Path& directory, std::optional<std::int64_t> number, FillDatabase others) {
  std::shared_lock<std::shared_mutex> naming;  // the collector sees the fork, or its source as it still is
  if (packs_) naming = std::shared_lock(packs_->naming());
  std::lock_guard one(changing_);
  std::int64_t from = 0;
  if (number) {
    TRY_LET(const Checkpoint checkpoint, catalogue_.checkpoint(*number));
    from = checkpoint.layer;
  } else if (!was_written()) {
    TRY_LET(const std::int64_t empty, catalogue_.top());
    TRY_LET(const auto chain, catalogue_.chain(empty));
    from = chain.at(1).number;  // nothing to cut
  } else {
    TRY(push({}, [&](std::int64_t layer) {
      from = layer;
      return Result<>();
    }));
  }
  TRY_LET(const auto chain, catalogue_.chain(from));
  TRY_LET(const std::int64_t top, catalogue_.next_layer());
  std::vector<LayerRow> rows{{.number = top, .parent = from, .local_below = from}};
  std::ranges::copy(random_bytes(sizeof(LayerId)), rows.front().id.begin());
  for (const LayerRow& row : chain) {
    if (row.number == image_layer) break;
    rows.push_back(row);
    if (!row.root) continue;
    rows.back().parent = rows.back().local_below = image_layer;  // its root stands for everything below
    break;
  }
  rows.push_back(chain.back());
  return make_fork(directory, std::move(rows), std::move(others));
}

Result<> Keeper::make_fork(const Path& directory, std::vector<LayerRow> rows, FillDatabase others) {
  auto link_layers = [&](const Path& layers) -> Result<> {
    for (const LayerRow& row : std::span(rows).subspan(1)) {
      if (!row.local) continue;
      const LayerFiles source = catalogue_.files(row.number, row.id);
      TRY(link_file(source.image(), layers / source.image().filename()));
      if (row.number != image_layer) TRY(link_file(source.states(), layers / source.states().filename()));
    }
    failpoint(Failpoint::fork_linked);
    return {};
  };
  TRY(make_volume({directory, catalogue_.size_bytes(), rows, link_layers, std::move(others)}));
  failpoint(Failpoint::fork_made);
  return {};
}

Result<bool> Keeper::seal() {
  std::lock_guard background(background_);
  if (!packs_) return Error{Error::Kind::invalid, "a disk without packs cannot be sealed"};
  const std::shared_lock naming(packs_->naming());  // before looking: what we read through stays
  TRY_LET(const auto chain, chain_to_seal());
  if (chain.empty()) return false;
  TRY_LET(const Layers layers, locked([&] { return layers_for(chain); }));
  TRY_LET(const Sealed sealed, seal_layer(*packs_, layers.lower.front()->states(), catalogue_.size_bytes(),
                                          chain_of(layers), layers.packed.get(), ending_));
  failpoint(Failpoint::seal_packed);
  std::lock_guard one(changing_);
  TRY_LET(meta::Transaction transaction, begin());
  TRY(catalogue_.set_root(chain.front().number, sealed.root));
  TRY(catalogue_.tidy());
  failpoint(Failpoint::seal_mapped);
  TRY(commit(std::move(transaction)));
  failpoint(Failpoint::seal_committed);
  TRY(refresh());
  packs_->note_spent(sealed.replaced_bytes);
  return true;
}

/// The oldest layer that is to be sealed, and what lies below it; empty if there is none.
Result<std::vector<LayerRow>> Keeper::chain_to_seal() {
  std::lock_guard one(changing_);
  TRY_LET(const std::int64_t top, catalogue_.top());
  TRY_LET(const auto rows, catalogue_.layers());
  // Parents have smaller numbers: below the first that is not sealed, all are.
  const auto next =
      std::ranges::find_if(rows, [&](const LayerRow& row) { return is_unsealed(row) && row.number != top; });
  if (next == rows.end()) return std::vector<LayerRow>{};
  return catalogue_.chain(next->number);
}

/// Makes the disk read through what volume.db says now.
Result<> Keeper::refresh() {
  TRY_LET(const std::int64_t top, catalogue_.top());
  TRY_LET(const auto chain, catalogue_.chain(top));
  TRY_LET(Layers fresh, layers_for(std::span(chain).subspan(1)));
  return disk_->exchange([&](Layers& layers) -> Result<> {
    layers.lower = std::move(fresh.lower);
    layers.packed = std::move(fresh.packed);
    return {};
  });
}

Result<Usage> Keeper::usage() {
  std::lock_guard one(changing_);
  Usage usage;
  usage.apparent_bytes = catalogue_.size_bytes();
  TRY_LET(const auto checkpoints, catalogue_.checkpoints());
  usage.checkpoints = checkpoints.size();
  TRY_LET(const auto rows, catalogue_.layers());
  for (const LayerRow& row : rows) {
    if (!row.local) continue;
    const LayerFiles files = catalogue_.files(row.number, row.id);
    struct stat info {};
    if (::stat(files.image().c_str(), &info) != 0)
      return system_error("cannot look at '" + files.image().string() + "'");
    std::uint64_t bytes = static_cast<std::uint64_t>(info.st_blocks) * 512;
    const bool shared = info.st_nlink > 1 || row.number == image_layer;
    if (row.number != image_layer && ::stat(files.states().c_str(), &info) == 0)
      bytes += static_cast<std::uint64_t>(info.st_blocks) * 512;
    (shared ? usage.shared_bytes : usage.local_bytes) += bytes;
    if (!shared && row.root) usage.cached_bytes += bytes;
    if (is_unsealed(row)) usage.unsealed_bytes += bytes;
    if (row.number != image_layer) ++usage.layers;
  }
  return usage;
}

}  // namespace sprite::store
