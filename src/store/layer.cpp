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

Result<std::shared_ptr<const Layer>> Layer::open(const LayerFiles& files) {
  TRY_LET(Fd image, open_file(files.image(), O_RDONLY));
  TRY_LET(const StatesFile states, open_states_file(files.states(), files.id, files.volume_bytes));
  TRY_LET(Mapping mapping, Mapping::anonymous(states_bytes(files.volume_bytes)));
  TRY(load_states(states, mapping.words()));
  return std::shared_ptr<const Layer>(new Layer(std::move(image), std::move(mapping)));
}

Result<std::shared_ptr<const Layer>> Layer::open_image(const Path& path, std::uint64_t volume_bytes) {
  TRY_LET(Fd image, open_file(path, O_RDONLY));
  TRY_LET(Mapping mapping, Mapping::anonymous(states_bytes(volume_bytes)));
  TRY(find_data(image.get(), volume_bytes, BlockStates(mapping.words())));
  return std::shared_ptr<const Layer>(new Layer(std::move(image), std::move(mapping)));
}

std::uint64_t storage_bytes(int file) {
  struct stat info {};
  return ::fstat(file, &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
}

}  // namespace sprite::store
