#include "store/states_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/crc32c.h"
#include "base/text.h"
#include "store/mapping.h"

namespace sprite::store {
namespace {

constexpr std::string_view magic = "SPRBITS\n";
constexpr std::uint32_t version = 1;
constexpr std::size_t checked_bytes = 72;

Error corrupt(std::string what) { return Error{Error::Kind::corrupt, std::move(what)}; }

bool any_invalid(std::span<const std::uint64_t> words) {
  return std::ranges::any_of(words, [](std::uint64_t word) { return (word & (word >> 1) & first_bits) != 0; });
}

}  // namespace

Bytes StatesHeader::encode() const {
  Bytes bytes(wire_bytes);
  std::ranges::copy(as_bytes(magic), bytes.begin());
  store_little(bytes.data() + 8, version);
  store_little(bytes.data() + 12, static_cast<std::uint32_t>(block_bytes));
  store_little(bytes.data() + 16, size_bytes);
  std::ranges::copy(layer, bytes.begin() + 24);
  std::ranges::copy(boot, bytes.begin() + 40);
  std::ranges::copy(instance, bytes.begin() + 56);
  store_little(bytes.data() + checked_bytes, crc32c(0, ByteView(bytes).first(checked_bytes)));
  return bytes;
}

Result<StatesHeader> StatesHeader::decode(ByteView bytes) {
  if (bytes.size() < wire_bytes || as_text(bytes.first(magic.size())) != magic)
    return corrupt("a file of block states does not start as one");
  if (load_little<std::uint32_t>(bytes.data() + checked_bytes) != crc32c(0, bytes.first(checked_bytes)))
    return corrupt("the header of a file of block states is damaged");
  if (load_little<std::uint32_t>(bytes.data() + 8) != version ||
      load_little<std::uint32_t>(bytes.data() + 12) != block_bytes)
    return Error{Error::Kind::invalid,
                 "a file of block states was made by a newer version of this program",
                 "update `sprite`",
                 {}};
  StatesHeader header;
  header.size_bytes = load_little<std::uint64_t>(bytes.data() + 16);
  std::copy_n(bytes.begin() + 24, header.layer.size(), header.layer.begin());
  std::copy_n(bytes.begin() + 40, header.boot.size(), header.boot.begin());
  std::copy_n(bytes.begin() + 56, header.instance.size(), header.instance.begin());
  return header;
}

Result<LayerId> boot_id() {
  TRY_LET(const std::string text, read_file("/proc/sys/kernel/random/boot_id"));
  LayerId id{};
  std::size_t digits = 0;
  for (const char c : trim(text)) {
    if (c == '-' || digits == 2 * id.size()) continue;
    const auto value = static_cast<std::uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    id[digits / 2] |= static_cast<std::byte>(digits % 2 == 0 ? value << 4 : value);
    ++digits;
  }
  return id;
}

std::uint64_t states_bytes(std::uint64_t size_bytes) {
  const std::uint64_t words = BlockStates::words_for(size_bytes / block_bytes);
  return (words * sizeof(std::uint64_t) + 4 * KiB - 1) / (4 * KiB) * (4 * KiB);
}

Result<Fd> create_states_file(const Path& path, const StatesHeader& header) {
  TRY_LET(Fd file, open_file(path, O_RDWR | O_CREAT | O_EXCL));
  const auto bytes = static_cast<off_t>(StatesHeader::wire_bytes + states_bytes(header.size_bytes));
  if (::ftruncate(file.get(), bytes) != 0) return system_error("cannot size '" + path.string() + "'");
  TRY(pwrite_all(file.get(), header.encode(), 0));
  return file;
}

Result<StatesFile> open_states_file(const Path& path, const LayerId& layer, std::uint64_t size_bytes) {
  TRY_LET(Fd file, open_file(path, O_RDWR));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return system_error("cannot look at '" + path.string() + "'");
  if (static_cast<std::uint64_t>(info.st_size) != StatesHeader::wire_bytes + states_bytes(size_bytes))
    return corrupt("'" + path.string() + "' has the wrong length");
  Bytes bytes(StatesHeader::wire_bytes);
  TRY(pread_exactly(file.get(), bytes, 0));
  auto header = StatesHeader::decode(bytes);
  if (!header) return std::move(header).error().within("cannot use '" + path.string() + "'");
  if (header->layer != layer || header->size_bytes != size_bytes)
    return corrupt("'" + path.string() + "' belongs to another layer");
  return StatesFile{path, std::move(file), *header};
}

Result<> write_states_header(const StatesFile& to) {
  // What is checked lies in the first sector, which a disk writes whole or not at all.
  return pwrite_all(to.file.get(), ByteView(to.header.encode()).first(512), 0);
}

Result<> load_states(const StatesFile& from, std::span<std::uint64_t> words) {
  const std::uint64_t end = StatesHeader::wire_bytes + words.size_bytes();
  for (std::uint64_t at = StatesHeader::wire_bytes; at < end;) {
    const off_t data = ::lseek(from.file.get(), static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return {};
    const off_t hole = data < 0 ? -1 : ::lseek(from.file.get(), data, SEEK_HOLE);
    if (hole < 0) return system_error("cannot read '" + from.path.string() + "'");
    const std::uint64_t first = static_cast<std::uint64_t>(data) - StatesHeader::wire_bytes;
    at = std::min(static_cast<std::uint64_t>(hole), end);
    const auto part = words.subspan(first / 8, (at - static_cast<std::uint64_t>(data)) / 8);
    TRY(pread_exactly(from.file.get(), std::as_writable_bytes(part), static_cast<std::uint64_t>(data)));
    if (any_invalid(part)) return corrupt("the block states in '" + from.path.string() + "' are damaged");
  }
  return {};
}

Result<> save_states(const StatesFile& to, std::span<const std::uint64_t> words) {
  TRY_LET(const Mapping durable, Mapping::anonymous(words.size_bytes()));
  TRY(load_states(to, durable.words()));
  constexpr std::size_t page_words = 4 * KiB / sizeof(std::uint64_t);
  for (std::size_t at = 0; at < words.size(); at += page_words) {
    const auto page = words.subspan(at, page_words);
    if (std::ranges::equal(page, durable.words().subspan(at, page_words))) continue;
    TRY(pwrite_all(to.file.get(), std::as_bytes(page), StatesHeader::wire_bytes + at * sizeof(std::uint64_t)));
  }
  if (::fdatasync(to.file.get()) != 0) return system_error("cannot make '" + to.path.string() + "' durable");
  return {};
}

}  // namespace sprite::store
