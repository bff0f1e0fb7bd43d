#include "store/volume.h"

#include <unistd.h>

#include "store/checkpoint_disk.h"
#include "store/new_volume.h"
#include "store/upkeep.h"

namespace sprite::store {
namespace {

/// Gives the image file a second name in our directory; where no hard link can be made (another filesystem), a symbolic
/// one.
Result<> link_image(const Path& image, const Path& to) {
  if (::access(image.c_str(), R_OK) != 0) return system_error("cannot read image '" + image.string() + "'");
  if (::link(image.c_str(), to.c_str()) == 0) return {};
  if (errno == EEXIST) return system_error("cannot make '" + to.string() + "'");
  std::error_code failed;
  const Path target = std::filesystem::canonical(image, failed);
  if (failed || ::symlink(target.c_str(), to.c_str()) != 0)
    return system_error("cannot link image '" + image.string() + "'");
  return {};
}

}  // namespace

class Volume::Implementation {
 public:
  explicit Implementation(std::unique_ptr<Keeper> made) : keeper(std::move(made)), disk(keeper->disk()) {}

  /// Passes on what an action gave, after which there may be something to do.
  template <class T>
  T and_nudge(T result) {
    if (upkeep) upkeep->nudge();
    return result;
  }

  std::unique_ptr<Keeper> keeper;
  Disk& disk;
  CheckpointDisk checkpoint_disk{*keeper};
  std::unique_ptr<Upkeep> upkeep;
};

Result<> Volume::create(const Path& directory, const Path& base, std::uint64_t size_bytes, FillDatabase others) {
  if (size_bytes == 0 || size_bytes % block_bytes != 0 || size_bytes > volume_bytes_max)
    return Error{Error::Kind::invalid, "a disk's size must be a multiple of 4 KiB and at most 1 TiB"};
  LayerRow top{.number = image_layer + 1, .parent = image_layer, .local_below = image_layer};
  std::ranges::copy(random_bytes(sizeof(LayerId)), top.id.begin());
  auto link = [&](const Path& layers) { return link_image(base, layers / (std::to_string(image_layer) + ".img")); };
  return make_volume({directory, size_bytes, {top, {.number = image_layer}}, link, std::move(others)});
}

Result<std::shared_ptr<Volume>> Volume::open(const Path& directory, const Path& runtime_directory,
                                             std::shared_ptr<PackStore> packs) {
  TRY_LET(auto keeper, Keeper::open(directory, runtime_directory, std::move(packs)));
  return std::shared_ptr<Volume>(new Volume(std::make_unique<Implementation>(std::move(keeper))));
}

Volume::Volume(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Volume::~Volume() {
  implementation_->upkeep.reset();
  if (!implementation_->keeper->closed()) (void)implementation_->disk.flush();
}

Result<> Volume::close() {
  implementation_->upkeep.reset();
  return implementation_->keeper->close();
}
void Volume::start_upkeep(const UpkeepPolicy& policy) {
  implementation_->upkeep = std::make_unique<Upkeep>(*implementation_->keeper, policy);
}
std::optional<Error> Volume::upkeep_failure() {
  return implementation_->upkeep ? implementation_->upkeep->failure() : std::nullopt;
}
Result<Checkpoint> Volume::checkpoint(std::string comment, Automatic automatic, Consistency consistency) {
  return implementation_->and_nudge(implementation_->keeper->checkpoint(std::move(comment), automatic, consistency));
}
Result<std::vector<Checkpoint>> Volume::checkpoints() { return implementation_->keeper->checkpoints(); }
Result<> Volume::remove_checkpoint(std::int64_t number) {
  return implementation_->and_nudge(implementation_->keeper->remove_checkpoint(number));
}
Result<Checkpoint> Volume::restore(std::int64_t number, Consistency present) {
  return implementation_->and_nudge(implementation_->keeper->restore(number, present));
}
Result<> Volume::fork(const Path& directory, std::optional<std::int64_t> number, FillDatabase others) {
  return implementation_->and_nudge(implementation_->keeper->fork(directory, number, std::move(others)));
}
nbd::Device& Volume::checkpoint_disk() { return implementation_->checkpoint_disk; }
Result<> Volume::cut() { return implementation_->and_nudge(implementation_->keeper->cut()); }
Result<std::string> Volume::mark_instant() {
  return implementation_->and_nudge(implementation_->keeper->mark_instant());
}
Result<std::optional<std::string>> Volume::instant() { return implementation_->keeper->instant(); }
Result<> Volume::prepare() { return implementation_->keeper->prepare(); }
Result<bool> Volume::seal() { return implementation_->keeper->seal(); }
Result<bool> Volume::fold(std::size_t layers_max) { return implementation_->keeper->fold(layers_max); }
Result<bool> Volume::drop_local() { return implementation_->keeper->drop_local(); }
Result<std::uint64_t> Volume::give_back_hidden(std::uint64_t bytes_max) {
  return implementation_->keeper->give_back_hidden(bytes_max);
}
Result<Usage> Volume::usage() { return implementation_->keeper->usage(); }

std::uint64_t Volume::used_bytes() const {
  const auto usage = implementation_->keeper->usage();
  return usage ? usage->local_bytes : 0;
}

std::uint64_t Volume::size_bytes() const { return implementation_->disk.size_bytes(); }
Result<> Volume::read(std::uint64_t offset, MutableByteView out) {
  TRY(implementation_->disk.read(offset, out, Wait::yes));
  return {};
}
bool Volume::read_now(std::uint64_t offset, MutableByteView out) {
  const auto done = implementation_->disk.read(offset, out, Wait::no);
  return done && *done;
}
Result<> Volume::write(std::uint64_t offset, ByteView data) { return implementation_->disk.write(offset, data); }
Result<> Volume::flush() { return implementation_->disk.flush(); }
Result<> Volume::trim(std::uint64_t offset, std::uint64_t length) { return implementation_->disk.zero(offset, length); }
Result<> Volume::write_zeroes(std::uint64_t offset, std::uint64_t length) {
  return implementation_->disk.zero(offset, length);
}
Result<std::vector<nbd::Extent>> Volume::block_status(std::uint64_t offset, std::uint64_t length,
                                                      std::size_t extents_max) {
  return implementation_->disk.block_status(offset, length, extents_max);
}

}  // namespace sprite::store
