#include "store/layer.h"

#include <sys/stat.h>
#include <unistd.h>

namespace sprite::store {
namespace {

/// Marks the blocks that are not holes in `file`.
Result<> find_data(int file, std::uint64_t volume_bytes, BlockStates states) {
  for (std::uint64_t at = 0; at < volume_bytes;) {
    const off_t data = ::lseek(file, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return {};
    const off_t hole = data < 0 ? -1 : ::lseek(file, data, SEEK_HOLE);
    if (hole < 0) return system_error("cannot find the data of an image");
    const std::uint64_t first = static_cast<std::uint64_t>(data) / block_bytes;
    const std::uint64_t end =
        (std::min(static_cast<std::uint64_t>(hole), volume_bytes) + block_bytes - 1) / block_bytes;
    if (first < end) states.set(first, end - first, BlockState::data);
    at = end * block_bytes;
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<Layer>> Layer::open(const LayerFiles& files) {
  TRY_LET(Fd image, open_file(files.image(), O_RDONLY));
  TRY_LET(const StatesFile states, open_states_file(files.states(), files.id, files.volume_bytes));
  TRY_LET(Mapping mapping, Mapping::anonymous(states_bytes(files.volume_bytes)));
  TRY(load_states(states, mapping.words()));
  const BlockStates view(mapping.words());
  return std::make_shared<Layer>(files.number, std::move(image), std::move(mapping), view);
}

Result<std::shared_ptr<Layer>> Layer::open_image(const Path& path, std::uint64_t volume_bytes) {
  TRY_LET(Fd image, open_file(path, O_RDONLY));
  TRY_LET(Mapping mapping, Mapping::anonymous(states_bytes(volume_bytes)));
  TRY(find_data(image.get(), volume_bytes, BlockStates(mapping.words())));
  const BlockStates view(mapping.words());
  return std::make_shared<Layer>(image_layer, std::move(image), std::move(mapping), view);
}

Result<> Layer::absorb(const Layer& lower, const LayerFiles& own_files) {
  TRY_LET(const Fd own, open_file(own_files.image(), O_RDWR));
  TRY_LET(const StatesFile states_file, open_states_file(own_files.states(), own_files.id, own_files.volume_bytes));
  const std::uint64_t blocks = own_files.volume_bytes / block_bytes;
  for (std::uint64_t at = 0; at < blocks;) {
    const Run theirs = lower.states_.run(at, blocks - at);
    const Run ours = states_.run(at, theirs.count);
    if (ours.state == BlockState::absent && theirs.state != BlockState::absent) {
      if (theirs.state == BlockState::data) TRY(copy_blocks(lower, own, at, ours.count));
      states_.set(at, ours.count, theirs.state);
    }
    at += ours.count;
  }
  if (::fdatasync(own.get()) != 0) return system_error("cannot make '" + own_files.image().string() + "' durable");
  TRY(save_states(states_file, states_.words()));
  return {};
}

Result<> Layer::copy_blocks(const Layer& lower, const Fd& own, std::uint64_t first, std::uint64_t count) {
  constexpr std::uint64_t step = MiB / block_bytes;
  Bytes buffer(std::min(count, step) * block_bytes);
  while (count > 0) {
    const std::uint64_t some = std::min(count, step);
    const MutableByteView part = MutableByteView(buffer).first(some * block_bytes);
    TRY(pread_exactly(lower.file(), part, first * block_bytes));
    TRY(pwrite_all(own.get(), part, first * block_bytes));
    first += some;
    count -= some;
  }
  return {};
}

Result<> Layer::forget(std::size_t first_word, std::span<const std::uint64_t> blocks, const LayerFiles& own_files) {
  for (std::size_t i = 0; i < blocks.size(); ++i)
    std::atomic_ref(states_.words()[first_word + i]).fetch_and(~(blocks[i] * 3), std::memory_order_release);
  TRY_LET(const StatesFile states_file, open_states_file(own_files.states(), own_files.id, own_files.volume_bytes));
  return save_states(states_file, states_.words());
}

Result<> Layer::give_back(std::size_t first_word, std::span<const std::uint64_t> blocks,
                          const LayerFiles& own_files) const {
  TRY_LET(const Fd own, open_file(own_files.image(), O_RDWR));
  std::vector<std::uint64_t> words(blocks.begin(), blocks.end());
  const BlockStates forgotten(words);
  const std::uint64_t first = first_word * BlockStates::blocks_per_word;
  const std::uint64_t count = words.size() * BlockStates::blocks_per_word;
  for (std::uint64_t at = 0; at < count;) {
    const Run run = forgotten.run(at, count - at);
    if (run.state == BlockState::data) TRY(punch(own.get(), first + at, run.count));
    at += run.count;
  }
  return {};
}

bool Layer::is_linked() const {
  struct stat info {};
  return ::fstat(file_.get(), &info) != 0 || info.st_nlink > 1;
}

Result<> punch(int file, std::uint64_t first, std::uint64_t count) {
  if (::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first * block_bytes),
                  static_cast<off_t>(count * block_bytes)) != 0 &&
      errno != EOPNOTSUPP)
    return system_error("cannot give storage back");
  return {};
}

std::uint64_t storage_bytes(int file) {
  struct stat info {};
  return ::fstat(file, &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
}

}  // namespace sprite::store
