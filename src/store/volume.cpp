#include "store/volume.h"

#include <sys/stat.h>
#include <unistd.h>

#include <shared_mutex>

#include "store/chain.h"
#include "store/gate.h"
#include "store/top_layer.h"
#include "store/volume_database.h"

namespace sprite::store {
namespace {

using Passing = std::shared_lock<Gate>;

constexpr std::int64_t image_layer = 0, first_layer = 1;

LayerId random_layer_id() {
  LayerId id{};
  std::ranges::copy(random_bytes(id.size()), id.begin());
  return id;
}

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

/// What volume.db says.
struct Description {
  std::uint64_t size_bytes = 0;
  std::vector<std::pair<std::int64_t, LayerId>> layers;  ///< with files of their own; the top one first
};

Result<Description> describe(meta::Database& database, const Path& directory) {
  const auto corrupt = [&](const std::string& why) {
    return Error{Error::Kind::corrupt, "volume.db in '" + directory.string() + "' is damaged: " + why};
  };
  Description description;
  TRY_LET(meta::Query volume, database.query("select size_bytes, top from volume"));
  TRY_LET(const bool exists, volume.next());
  if (!exists) return corrupt("it describes no volume");
  description.size_bytes = static_cast<std::uint64_t>(volume.integer(0));
  if (description.size_bytes == 0 || description.size_bytes % block_bytes != 0) return corrupt("the size is wrong");
  TRY_LET(
      meta::Query layers,
      database.query(
          "with recursive chain(number, parent, id) as (select number, parent, id from layer where number = ?"
          " union all select layer.number, layer.parent, layer.id from chain join layer on layer.number = chain.parent)"
          " select number, id from chain where id is not null",
          {volume.integer(1)}));
  for (;;) {
    TRY_LET(const bool more, layers.next());
    if (!more) break;
    LayerId id{};
    if (layers.blob(1).size() != id.size()) return corrupt("a layer's id is wrong");
    std::ranges::copy(layers.blob(1), id.begin());
    description.layers.emplace_back(layers.integer(0), id);
  }
  if (description.layers.empty()) return corrupt("it has no layers");
  return description;
}

}  // namespace

/// Locks: every call passes the gate, so that a cut finds none inside; then stripes of the top layer.
class Volume::Implementation {
 public:
  Implementation(FileLock lock, meta::Database database, std::uint64_t size_bytes, std::unique_ptr<TopLayer> top,
                 std::vector<std::shared_ptr<const Layer>> lower)
      : lock_(std::move(lock)),
        database_(std::move(database)),
        size_bytes_(size_bytes),
        top_(std::move(top)),
        lower_(std::move(lower)),
        chain_(sources()) {}

  std::uint64_t size_bytes() const { return size_bytes_; }
  std::uint64_t used_bytes();
  Result<bool> read(std::uint64_t offset, MutableByteView out, Chain::Wait wait);
  Result<> write(std::uint64_t offset, ByteView data);
  Result<> flush();
  Result<> zero(std::uint64_t offset, std::uint64_t length);
  Result<std::vector<nbd::Extent>> block_status(std::uint64_t offset, std::uint64_t length, std::size_t extents_max);
  Result<> close();
  bool closed() const { return closed_; }

 private:
  std::vector<Chain::Source> sources() const;
  Result<> write_blocks(std::uint64_t first, ByteView data);
  Result<> write_part(std::uint64_t offset, ByteView data);
  Result<> write_inside(std::uint64_t offset, ByteView data);
  Result<> zero_blocks(std::uint64_t first, std::uint64_t count);

  FileLock lock_;
  meta::Database database_;
  const std::uint64_t size_bytes_;
  Gate gate_;
  std::unique_ptr<TopLayer> top_;
  std::vector<std::shared_ptr<const Layer>> lower_;  ///< the newest first
  Chain chain_;
  bool closed_ = false;
};

std::vector<Chain::Source> Volume::Implementation::sources() const {
  std::vector<Chain::Source> sources{{top_->file(), &top_->states()}};
  for (const auto& layer : lower_) sources.push_back({layer->file(), &layer->states()});
  return sources;
}

std::uint64_t Volume::Implementation::used_bytes() {
  const Passing pass(gate_);
  return top_->used_bytes();
}

Result<bool> Volume::Implementation::read(std::uint64_t offset, MutableByteView out, Chain::Wait wait) {
  Passing pass(gate_, std::defer_lock);
  if (wait == Chain::Wait::yes) {
    pass.lock();
  } else if (!pass.try_lock()) {
    return false;
  }
  return chain_.read(offset, out, wait);
}

Result<> Volume::Implementation::write(std::uint64_t offset, ByteView data) {
  const Passing pass(gate_);
  return write_inside(offset, data);
}

/// Splits a write into the part of a block at its start, whole blocks, and the part of a block at its end.
Result<> Volume::Implementation::write_inside(std::uint64_t offset, ByteView data) {
  if (const std::uint64_t within = offset % block_bytes; within != 0) {
    const ByteView head = data.first(std::min<std::size_t>(data.size(), block_bytes - within));
    TRY(write_part(offset, head));
    offset += head.size();
    data = data.subspan(head.size());
  }
  const ByteView whole = data.first(data.size() / block_bytes * block_bytes);
  if (!whole.empty()) TRY(write_blocks(offset / block_bytes, whole));
  const ByteView tail = data.subspan(whole.size());
  return tail.empty() ? Result<>() : write_part(offset + whole.size(), tail);
}

Result<> Volume::Implementation::write_blocks(std::uint64_t first, ByteView data) {
  const std::uint64_t count = data.size() / block_bytes;
  if (top_->states().all(first, count, BlockState::data)) return top_->overwrite(first * block_bytes, data);
  const TopLayer::Stripes stripes(*top_, first, count);
  return top_->write(first, data);
}

/// Writes within one block. A block that the top layer does not hold is first completed with what it reads as, under
/// its stripe: a write of the block's other half must not get lost between the two.
Result<> Volume::Implementation::write_part(std::uint64_t offset, ByteView data) {
  const std::uint64_t block = offset / block_bytes;
  if (top_->states().at(block) == BlockState::data) return top_->overwrite(offset, data);
  const TopLayer::Stripes stripes(*top_, block, 1);
  if (top_->states().at(block) == BlockState::data) return top_->overwrite(offset, data);
  std::array<std::byte, block_bytes> whole;
  TRY(chain_.read(block * block_bytes, whole, Chain::Wait::yes));
  std::ranges::copy(data, whole.begin() + static_cast<std::ptrdiff_t>(offset % block_bytes));
  return top_->write(block, whole);
}

Result<> Volume::Implementation::zero(std::uint64_t offset, std::uint64_t length) {
  static constexpr std::array<std::byte, block_bytes> zeros{};
  const Passing pass(gate_);
  const std::uint64_t end = offset + length;
  const std::uint64_t first = (offset + block_bytes - 1) / block_bytes, last = end / block_bytes;
  if (first >= last) {  // no whole block: parts of one or two
    while (offset < end) {
      const std::uint64_t count = std::min(end - offset, block_bytes - offset % block_bytes);
      TRY(write_part(offset, ByteView(zeros).first(count)));
      offset += count;
    }
    return {};
  }
  if (offset % block_bytes != 0) TRY(write_part(offset, ByteView(zeros).first(first * block_bytes - offset)));
  if (end % block_bytes != 0) TRY(write_part(last * block_bytes, ByteView(zeros).first(end % block_bytes)));
  return zero_blocks(first, last - first);
}

/// Makes blocks zero, leaving out those that no layer has anything of.
Result<> Volume::Implementation::zero_blocks(std::uint64_t first, std::uint64_t count) {
  constexpr std::uint64_t step = GiB / block_bytes;  // what is locked at once
  while (count > 0) {
    const std::uint64_t some = std::min(count, step - first % step);
    const TopLayer::Stripes stripes(*top_, first, some);
    for (std::uint64_t done = 0; done < some;) {
      const Chain::Piece piece = chain_.find(first + done, some - done);
      if (piece.state == BlockState::data) TRY(top_->zero(first + done, piece.count));
      done += piece.count;
    }
    first += some;
    count -= some;
  }
  return {};
}

Result<> Volume::Implementation::flush() {
  const Passing pass(gate_);
  return top_->flush();
}

Result<std::vector<nbd::Extent>> Volume::Implementation::block_status(std::uint64_t offset, std::uint64_t length,
                                                                      std::size_t extents_max) {
  const Passing pass(gate_);
  std::vector<nbd::Extent> extents;
  for (const std::uint64_t end = offset + length; offset < end;) {
    const std::uint64_t block = offset / block_bytes;
    const Chain::Piece piece = chain_.find(block, (end + block_bytes - 1) / block_bytes - block);
    const bool nothing = piece.state != BlockState::data;
    const std::uint64_t bytes = std::min(end, (block + piece.count) * block_bytes) - offset;
    if (!extents.empty() && extents.back().zero == nothing) {
      extents.back().length_bytes += bytes;
    } else {
      if (extents.size() == extents_max) break;
      extents.push_back({bytes, nothing, nothing});
    }
    offset += bytes;
  }
  return extents;
}

Result<> Volume::Implementation::close() {
  TRY(top_->flush());
  top_->forget_twin();
  closed_ = true;
  return {};
}

Result<> Volume::create(const Path& directory, const Path& base, std::uint64_t size_bytes) {
  if (size_bytes == 0 || size_bytes % block_bytes != 0)
    return Error{Error::Kind::invalid, "a disk's size must be a multiple of 4 KiB"};
  const LayerFiles top{directory / "layers", first_layer, random_layer_id(), size_bytes};
  if (::access((directory / "volume.db").c_str(), F_OK) == 0)
    return Error{Error::Kind::exists, "there is a disk in '" + directory.string() + "' already"};
  TRY(make_directories(top.directory));
  TRY(link_image(base, top.directory / (std::to_string(image_layer) + ".img")));
  TRY(TopLayer::create(top));
  TRY(sync_directory(top.directory));
  TRY_LET(meta::Database database, open_volume_database(directory));
  TRY_LET(meta::Transaction transaction, meta::Transaction::begin(database));
  TRY(database.run("insert into layer(number) values(?)", {image_layer}));
  TRY(database.run("insert into layer(number, parent, id) values(?, ?, ?)",
                   {first_layer, image_layer, ByteView(top.id)}));
  TRY(database.run("insert into volume(id, size_bytes, top) values(1, ?, ?)",
                   {static_cast<std::int64_t>(size_bytes), first_layer}));
  TRY(std::move(transaction).commit());
  return sync_directory(directory);
}

Result<std::shared_ptr<Volume>> Volume::open(const Path& directory, const Path& runtime_directory) {
  if (::access((directory / "volume.db").c_str(), F_OK) != 0)
    return system_error("there is no disk in '" + directory.string() + "'");
  TRY_LET(std::optional<FileLock> lock, FileLock::try_take(directory / "volume.lock"));
  if (!lock) return Error{Error::Kind::busy, "the disk in '" + directory.string() + "' is open in another process"};
  TRY_LET(meta::Database database, open_volume_database(directory));
  TRY_LET(const Description description, describe(database, directory));
  const Path layers = directory / "layers";
  std::vector<std::shared_ptr<const Layer>> lower;
  for (const auto& [number, id] : std::span(description.layers).subspan(1)) {
    TRY_LET(lower.emplace_back(), Layer::open({layers, number, id, description.size_bytes}));
  }
  TRY_LET(lower.emplace_back(),
          Layer::open_image(layers / (std::to_string(image_layer) + ".img"), description.size_bytes));
  const auto& [number, id] = description.layers.front();
  TRY_LET(auto top, TopLayer::open({layers, number, id, description.size_bytes}, runtime_directory));
  return std::shared_ptr<Volume>(new Volume(std::make_unique<Implementation>(
      *std::move(lock), std::move(database), description.size_bytes, std::move(top), std::move(lower))));
}

Volume::Volume(std::unique_ptr<Implementation> implementation) : implementation_(std::move(implementation)) {}
Volume::~Volume() {
  if (!implementation_->closed()) (void)implementation_->flush();
}
Result<> Volume::close() { return implementation_->close(); }
std::uint64_t Volume::used_bytes() const { return implementation_->used_bytes(); }
std::uint64_t Volume::size_bytes() const { return implementation_->size_bytes(); }
Result<> Volume::read(std::uint64_t offset, MutableByteView out) {
  TRY(implementation_->read(offset, out, Chain::Wait::yes));
  return {};
}
bool Volume::read_now(std::uint64_t offset, MutableByteView out) {
  const auto done = implementation_->read(offset, out, Chain::Wait::no);
  return done && *done;
}
Result<> Volume::write(std::uint64_t offset, ByteView data) { return implementation_->write(offset, data); }
Result<> Volume::flush() { return implementation_->flush(); }
Result<> Volume::trim(std::uint64_t offset, std::uint64_t length) { return implementation_->zero(offset, length); }
Result<> Volume::write_zeroes(std::uint64_t offset, std::uint64_t length) {
  return implementation_->zero(offset, length);
}
Result<std::vector<nbd::Extent>> Volume::block_status(std::uint64_t offset, std::uint64_t length,
                                                      std::size_t extents_max) {
  return implementation_->block_status(offset, length, extents_max);
}

}  // namespace sprite::store
