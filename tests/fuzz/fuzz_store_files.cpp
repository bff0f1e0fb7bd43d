// The store's files, whole and of any origin: an exported disk, a pack, a file of block states. The first byte chooses.
// Checksums would stop the fuzzer: unless told not to, the target mends them.
#include <sys/mman.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "input.h"
#include "store/mapping.h"
#include "store/pack.h"
#include "store/portable_file.h"
#include "store/states_file.h"

using namespace sprite;
using namespace sprite::store;
using fuzz::Input;
using fuzz::require;

namespace {

constexpr std::size_t portable_header_bytes = 32, record_bytes = 16;

/// A file in memory.
Fd file_of(ByteView bytes) {
  Fd file(::memfd_create("fuzz", MFD_CLOEXEC));
  require(file && pwrite_all(file.get(), bytes, 0), "a file can be made");
  return file;
}
Path path_of(const Fd& file) { return "/proc/self/fd/" + std::to_string(file.get()); }

/// Makes the checksums of an exported disk right, as far as its lengths say where they are.
void mend_portable(Bytes& bytes) {
  if (bytes.size() < portable_header_bytes) return;
  std::ranges::copy(as_bytes("SPRDISK\n"), bytes.begin());
  store_little(bytes.data() + 8, std::uint32_t{1});
  const std::size_t rest = bytes.size() - portable_header_bytes;
  const auto described = static_cast<std::uint32_t>(load_little<std::uint32_t>(bytes.data() + 12) % (rest + 1));
  store_little(bytes.data() + 12, described);
  const ByteView description = ByteView(bytes).subspan(portable_header_bytes, described);
  store_little(bytes.data() + 24, crc32c(crc32c(0, ByteView(bytes).first(24)), description));
  for (std::size_t at = portable_header_bytes + described; at + record_bytes <= bytes.size();) {
    const bool last = load_little<std::uint64_t>(bytes.data() + at) == portable_end_mark;
    const std::size_t length = last ? 0 : load_little<std::uint32_t>(bytes.data() + at + 8);
    if (length > bytes.size() - at - record_bytes) return;
    const ByteView frame = ByteView(bytes).subspan(at + record_bytes, length);
    store_little(bytes.data() + at + 12, crc32c(crc32c(0, ByteView(bytes).subspan(at, 12)), frame));
    at += record_bytes + length;
  }
}

void portable(Bytes bytes, bool mend) {
  if (mend) mend_portable(bytes);
  const Fd file = file_of(bytes), image(::memfd_create("image", MFD_CLOEXEC));
  const auto header = read_portable_header("file", file.get());
  if (!header) {
    require(header.error().kind == Error::Kind::corrupt || header.error().kind == Error::Kind::invalid,
            "a bad header is damage or of a newer version");
    return;
  }
  require(header->size_bytes > 0 && header->size_bytes <= map_bytes_max, "a disk has a possible size");
  require(header->description.size() <= portable_description_bytes_max, "a description is short");
  const Bytes again = encode_portable_header(*header);
  require(std::ranges::equal(ByteView(again).first(28), ByteView(bytes).first(28)),
          "a header is written as it was read");
  if (header->size_bytes > GiB) return;  // the image is in memory
  require(::ftruncate(image.get(), static_cast<off_t>(header->size_bytes)) == 0, "an image can be made");
  const auto counted = count_portable_chunks("file", file.get());
  require(counted.has_value() && *counted <= bytes.size() / record_bytes, "chunks can be counted");
  const auto read = read_portable_chunks("file", file.get(), header->size_bytes, image.get());
  require(static_cast<std::uint64_t>(::lseek(image.get(), 0, SEEK_END)) == header->size_bytes,
          "nothing is written behind the disk's end");
  if (!read) require(to_text(read.error()).find("'file'") != std::string::npos, "damage names the file");
}

/// An object at a place in a pack, both of any origin.
void pack(Input input, bool mend) {
  ObjectPlace place{input.number<std::uint16_t>(), input.number<std::uint32_t>() % 70000,
                    input.number<std::uint32_t>()};
  const ByteView rest = input.rest();
  Bytes bytes(rest.begin(), rest.end());
  const PackName name{};
  static const Path directory = "/tmp/sprite-fuzz-packs-" + std::to_string(::getpid());
  static PackStore packs(directory);
  static const Fd file = [&] {
    const Path path = directory / "00" / to_string(name);
    require(make_directories(path.parent_path()).has_value(), "a folder can be made");
    auto made = open_file(path, O_RDWR | O_CREAT);
    require(made.has_value(), "a pack can be made");
    require(packs.read(name, {16, 8, 0}).error().kind != Error::Kind::not_found, "the pack is found");
    require(remove_tree(directory).has_value(), "and goes with this process");  // it stays open
    return *std::move(made);
  }();
  if (mend && bytes.size() > 24) {
    place.offset = 16 + place.offset % 8;
    place.length = static_cast<std::uint32_t>(bytes.size() - place.offset);
    place.checksum = load_little<std::uint32_t>(bytes.data() + bytes.size() - 4);
  }
  require(::ftruncate(file.get(), 0) == 0 && pwrite_all(file.get(), bytes, 0), "a pack can be written");
  const auto content = packs.read(name, place);
  if (content) {
    require(content->size() <= object_bytes_max, "an object has at most its greatest size");
    require(place.offset >= 16 && place.offset + std::uint64_t{place.length} <= bytes.size(), "it lies in the pack");
  }
  for (unsigned level = 0; content && level < Node::levels; ++level) (void)Node::decode(*content, level, name);
}

void states(ByteView rest, bool mend) {
  constexpr std::uint64_t size_bytes = 64 * MiB;
  const std::size_t whole = StatesHeader::wire_bytes + states_bytes(size_bytes);
  Bytes bytes(rest.begin(), rest.end());
  LayerId layer{};
  if (mend) {
    const StatesHeader header{.layer = layer, .size_bytes = size_bytes};
    const Bytes head = header.encode();
    bytes.insert(bytes.begin(), head.begin(), head.end());
    bytes.resize(whole);
  }
  const Fd file = file_of(bytes);
  const auto opened = open_states_file(path_of(file), layer, size_bytes);
  require(opened.has_value() || !mend, "a mended file opens");
  if (!opened) return;
  auto words = Mapping::anonymous(states_bytes(size_bytes));
  require(words.has_value(), "memory");
  if (!load_states(*opened, words->words())) return;
  const BlockStates view(words->words());
  for (std::uint64_t block = 0; block < size_bytes / block_bytes;) {
    const Run run = view.run(block, size_bytes / block_bytes - block);
    require(run.count > 0 && run.state <= BlockState::zero, "every block has one of three states");
    block += run.count;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const unsigned choice = input.byte() % 6;
  const bool mend = choice % 2 == 1;
  switch (choice / 2) {
    case 0: {
      const ByteView rest = input.rest();
      portable(Bytes(rest.begin(), rest.end()), mend);
      break;
    }
    case 1: pack(input, mend); break;
    default: states(input.rest(), mend); break;
  }
  return 0;
}
