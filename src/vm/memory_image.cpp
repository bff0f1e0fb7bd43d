#include "vm/memory_image.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <boost/describe/class.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <boost/json/value_to.hpp>

#include "base/crc32c.h"
#include "base/directory.h"
#include "base/text.h"

namespace sprite::vm {

BOOST_DESCRIBE_STRUCT(Compatibility, (), (qemu_version, machine_type, accelerator, cpu, devices, memory_bytes, vcpus))

namespace {

constexpr int stamp_version = 2;
constexpr std::size_t stamp_bytes_max = 8 * MiB;  // 1 TiB of RAM
constexpr std::size_t state_bytes_max = 256 * MiB;

/// The file `stamp`.
struct StampFile {
  int version = stamp_version;
  Compatibility machine{};
  std::string image{}, agent_version{}, disk{};
  std::uint64_t state_bytes = 0, ram_data_bytes = 0;
  std::uint32_t state_checksum = 0;
  std::vector<std::uint32_t> ram_checksums{};
  std::optional<bool> is_kept{};
};

BOOST_DESCRIBE_STRUCT(StampFile, (),
                      (version, machine, image, agent_version, disk, state_bytes, ram_data_bytes, state_checksum,
                       ram_checksums, is_kept))

std::string unfinished_prefix(const Path& directory) { return directory.string() + ".new-"; }
Path consumed_place(const Path& directory) { return directory.string() + ".used"; }

Error corrupt(std::string what) { return Error{Error::Kind::corrupt, std::move(what), {}, {}}; }

/// Errors: corrupt (what is there is no stamp), as system_error.
Result<std::string> read_stamp(const Path& directory) {
  const Path path = directory / "stamp";
  const auto file = open_regular_file(path);
  auto text = file ? read_file(*file, path, stamp_bytes_max) : Result<std::string>(file.error());
  if (!text && text.error().kind == Error::Kind::invalid) return corrupt(text.error().what);
  return text;
}

Result<StampFile> parse_stamp(std::string_view text) {
  try {
    const boost::json::value value = boost::json::parse(text);
    if (const auto version = boost::json::value_to<int>(value.at("version")); version != stamp_version)
      return corrupt(fmt::format("its stamp has version {}, and this program knows {}", version, stamp_version));
    return boost::json::value_to<StampFile>(value);
  } catch (const std::exception&) {
    return corrupt("its stamp cannot be read");
  }
}

Result<std::uint64_t> size_of(const Path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return system_error("cannot look at '" + file.string() + "'");
  return static_cast<std::uint64_t>(info.st_size);
}

Result<> check_sizes(const MemoryImage& image) {
  TRY_LET(const std::uint64_t ram, size_of(image.ram()));
  TRY_LET(const std::uint64_t state, size_of(image.state()));
  if (ram != image.stamp.machine.memory_bytes)
    return corrupt(fmt::format("its memory has {} bytes instead of {}", ram, image.stamp.machine.memory_bytes));
  if (state != image.state_bytes)
    return corrupt(fmt::format("its state has {} bytes instead of {}", state, image.state_bytes));
  if (image.ram_checksums.size() != (ram + memory_block_bytes - 1) / memory_block_bytes)
    return corrupt("its stamp has too few checksums");
  return {};
}

Result<std::uint32_t> checksum_of(const Path& file) {
  TRY_LET(const std::string content, read_file(file, state_bytes_max));
  return crc32c(0, as_bytes(content));
}

Result<> sync(const Path& file) {
  TRY_LET(const Fd fd, open_file(file, O_RDONLY));
  if (::fsync(fd.get()) != 0) return system_error("cannot make '" + file.string() + "' durable");
  return {};
}

Result<> rename_durably(const Path& from, const Path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0)
    return system_error("cannot rename '" + from.string() + "' to '" + to.string() + "'");
  return sync_directory(to.parent_path());
}

struct Named {
  std::string_view name;
  std::string Compatibility::*value;
};
constexpr std::array<Named, 5> texts_of_machine{{{"QEMU", &Compatibility::qemu_version},
                                                 {"the machine type", &Compatibility::machine_type},
                                                 {"the accelerator", &Compatibility::accelerator},
                                                 {"the host's CPU", &Compatibility::cpu},
                                                 {"the set of devices", &Compatibility::devices}}};

/// Durable with the directory's entries when it returns.
Result<> write_stamp(const Path& directory, const StampFile& file) {
  return write_file_atomically(directory / "stamp", boost::json::serialize(boost::json::value_from(file)) + "\n");
}

std::string was_and_is(std::string_view name, std::string_view was, std::string_view is) {
  return was == is ? std::string() : fmt::format("{} was {} and is {}", name, was, is);
}

}  // namespace

std::string difference(const MemoryStamp& was, const MemoryStamp& is) {
  std::vector<std::string> found;
  for (const Named& text : texts_of_machine)
    found.push_back(was_and_is(text.name, was.machine.*text.value, is.machine.*text.value));
  found.push_back(
      was_and_is("its memory", format_size(was.machine.memory_bytes), format_size(is.machine.memory_bytes)));
  found.push_back(
      was_and_is("its number of processors", std::to_string(was.machine.vcpus), std::to_string(is.machine.vcpus)));
  found.push_back(was_and_is("its image", was.image.substr(0, 12), is.image.substr(0, 12)));
  found.push_back(was_and_is("its agent", was.agent_version, is.agent_version));
  if (was.disk != is.disk) found.emplace_back("its disk is another one, or was changed since");
  for (const std::string& each : found)
    if (!each.empty()) return each;
  return was == is ? "" : "its stamp differs";
}

Result<std::optional<MemoryImage>> open_memory_image(const Path& directory) {
  auto text = read_stamp(directory);
  if (!text && text.error().kind == Error::Kind::not_found && ::access(directory.c_str(), F_OK) != 0)
    return std::optional<MemoryImage>();
  if (!text && text.error().kind == Error::Kind::not_found) return corrupt("it has no stamp");
  if (!text) return std::move(text).error();
  TRY_LET(StampFile file, parse_stamp(*text));
  MemoryImage image{
      .directory = directory,
      .stamp = {std::move(file.machine), std::move(file.image), std::move(file.agent_version), std::move(file.disk)},
      .is_kept = file.is_kept.value_or(false),
      .state_bytes = file.state_bytes,
      .ram_data_bytes = file.ram_data_bytes,
      .ram_checksums = std::move(file.ram_checksums)};
  if (auto sizes = check_sizes(image); !sizes) {
    if (sizes.error().kind == Error::Kind::not_found) return corrupt("a file of it is missing");
    return std::move(sizes).error();
  }
  TRY_LET(const std::uint32_t checksum, checksum_of(image.state()));
  if (checksum != file.state_checksum) return corrupt("its state has a wrong checksum");
  return std::optional(std::move(image));
}

Result<> fill_memory(const MemoryImage& image, const Path& to, const std::atomic<bool>& cancelled) {
  const std::uint64_t bytes = image.stamp.machine.memory_bytes;
  TRY_LET(const Fd from, open_file(image.ram(), O_RDONLY));
  TRY_LET(const Fd file, open_file(to, O_RDWR | O_CREAT | O_NOFOLLOW));
  const auto filled = [&]() -> Result<> {
    if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0)
      return system_error("cannot make memory file '" + to.string() + "'");
    return copy_verified_memory(from, file, bytes, image.ram_checksums, cancelled);
  }();
  if (!filled) ::unlink(to.c_str());
  return filled;
}

Result<> verify_memory(const MemoryImage& image, const std::atomic<bool>& cancelled) {
  TRY_LET(const Fd from, open_file(image.ram(), O_RDONLY));
  return verify_memory(from, image.stamp.machine.memory_bytes, image.ram_checksums, cancelled);
}

Result<> copy_memory_file(const Path& from, const Path& to, const std::atomic<bool>& cancelled) {
  TRY_LET(const std::uint64_t bytes, size_of(from));
  TRY_LET(const Fd source, open_file(from, O_RDONLY));
  TRY_LET(const Fd copy, open_file(to, O_RDWR | O_NOFOLLOW));
  TRY(copy_memory(source, copy, bytes, cancelled));
  return {};
}

Result<> consume_memory_image(const Path& directory) {
  TRY(remove_tree(consumed_place(directory)));
  return rename_durably(directory, consumed_place(directory));
}

Result<> restore_consumed_image(const Path& directory) { return rename_durably(consumed_place(directory), directory); }

Result<> remove_memory_remnants(const Path& directory) {
  for (const Path& each : entries_of(directory.parent_path()))
    if (each.string().starts_with(unfinished_prefix(directory))) TRY(remove_tree(each));
  return remove_tree(consumed_place(directory));
}

Result<MemoryImageWriter> MemoryImageWriter::begin(const Path& directory) {
  const Path unfinished = unfinished_prefix(directory) + to_hex(random_bytes(4));
  TRY(make_directories(unfinished));
  return MemoryImageWriter(directory, unfinished);
}

MemoryImageWriter::~MemoryImageWriter() {
  if (!unfinished_.empty()) (void)remove_tree(unfinished_);
}

Result<> MemoryImageWriter::copy(const Path& memory_file, const MemoryStamp& stamp,
                                 const std::atomic<bool>& cancelled) {
  TRY(copy_ram(memory_file, stamp.machine.memory_bytes, cancelled));
  return finish(stamp);
}

Result<> MemoryImageWriter::copy_ram(const Path& memory_file, std::uint64_t bytes, const std::atomic<bool>& cancelled) {
  TRY_LET(const Fd memory, open_file(memory_file, O_RDONLY));
  const Path ram = unfinished_ / "ram";
  TRY_LET(const Fd to, open_file(ram, O_RDWR | O_CREAT | O_EXCL));
  if (::ftruncate(to.get(), static_cast<off_t>(bytes)) != 0) return system_error("cannot make '" + ram.string() + "'");
  TRY_LET(copied_, copy_memory(memory, to, bytes, cancelled));
  return {};
}

Result<> MemoryImageWriter::finish(const MemoryStamp& stamp) {
  StampFile file{
      .machine = stamp.machine, .image = stamp.image, .agent_version = stamp.agent_version, .disk = stamp.disk};
  if (is_kept_) file.is_kept = true;
  file.ram_checksums = std::move(copied_.checksums);
  file.ram_data_bytes = copied_.data_bytes;
  TRY_LET(file.state_bytes, size_of(state()));
  TRY_LET(file.state_checksum, checksum_of(state()));
  TRY(sync(unfinished_ / "ram"));
  TRY(sync(state()));
  return write_stamp(unfinished_, file);
}

Result<> MemoryImageWriter::link(const MemoryImage& image, std::string disk) {
  TRY_LET(const std::string text, read_stamp(image.directory));
  TRY_LET(StampFile file, parse_stamp(text));
  file.disk = std::move(disk);
  file.is_kept = true;
  for (const char* name : {"ram", "state"})
    if (::link((image.directory / name).c_str(), (unfinished_ / name).c_str()) != 0)
      return system_error("cannot give '" + (image.directory / name).string() + "' another name");
  return write_stamp(unfinished_, file);
}

Result<> MemoryImageWriter::publish_as(Path directory) {
  directory_ = std::move(directory);
  return publish();
}

Result<> MemoryImageWriter::publish() {
  if (::access(directory_.c_str(), F_OK) == 0) TRY(consume_memory_image(directory_));
  TRY(rename_durably(unfinished_, directory_));
  unfinished_.clear();
  (void)remove_tree(consumed_place(directory_));  // else the next writer does
  return {};
}

}  // namespace sprite::vm
