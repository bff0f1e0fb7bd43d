#include "vm/machine_files.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <thread>

#include "base/directory.h"
#include "base/text.h"
#include "vm/network.h"

namespace sprite::vm {
namespace {

constexpr std::size_t socket_path_limit = 107;

struct Field {
  std::string_view name;
  Path Record::*value;
};
constexpr std::array<Field, 4> fields{{{"memory_file", &Record::memory_file},
                                       {"channel_socket", &Record::channel_socket},
                                       {"console_log", &Record::console_log},
                                       {"runtime_directory", &Record::runtime_directory}}};

std::string to_text(const Record& record) {
  std::string text = fmt::format("domain={}\n", record.domain_id);
  for (const Field& field : fields) text += fmt::format("{}={}\n", field.name, (record.*field.value).string());
  return text;
}

Record parse(const std::string& id, const std::string& text) {
  Record record;
  record.id = id;
  for (const std::string& line : split(text, '\n')) {
    const std::size_t equals = std::min(line.find('='), line.size());
    const std::string_view name = std::string_view(line).substr(0, equals);
    const std::string value = line.substr(std::min(equals + 1, line.size()));
    if (name == "domain") record.domain_id = value;
    for (const Field& field : fields)
      if (name == field.name) record.*field.value = value;
  }
  return record;
}

bool is_uuid(std::string_view id) {
  if (id.size() != 36) return false;
  for (std::size_t i = 0; i < id.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? id[i] != '-'
             : (std::isxdigit(static_cast<unsigned char>(id[i])) == 0 ||
                std::isupper(static_cast<unsigned char>(id[i])) != 0))
      return false;
  }
  return true;
}

Result<> check_socket(const Path& path) {
  if (path.string().size() <= socket_path_limit) return {};
  return Error{Error::Kind::invalid,
               fmt::format("socket path '{}' is longer than {} bytes", path.string(), socket_path_limit),
               "set XDG_RUNTIME_DIR to a shorter directory",
               {}};
}

Result<> check_readable(std::string_view what, const Path& path) {
  if (::access(path.c_str(), R_OK) == 0) return {};
  Error error = system_error(fmt::format("cannot read the {} '{}'", what, path.string()));
  error.hint = "`sprite image list` shows the images that are there; `sprite image build` makes one";
  return error;
}

/// The process that holds the lock on a pid file; 0 if it is in another namespace.
std::optional<pid_t> locked_by(const Fd& file) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  if (::fcntl(file.get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return std::nullopt;
  return lock.l_pid;
}

/// Who holds the lock on a pid file: only a QEMU that lives.
std::optional<pid_t> lock_holder(const Fd& file) {
  const auto holder = locked_by(file);
  return holder && *holder > 1 ? holder : std::nullopt;
}

}  // namespace

std::string short_id(const std::string& id) {
  std::string digits;
  for (const char c : id)
    if (c != '-' && digits.size() < 12) digits += c;
  return digits;
}

Path pid_file(const Path& runtime_directory) { return runtime_directory / "qemu.pid"; }

Path channel_listener(const Path& channel_socket, const std::string& domain_id) {
  return channel_socket.parent_path() / (short_id(domain_id) + ".sock");
}

Path state_socket(const Path& runtime_directory) { return runtime_directory / "state.sock"; }

Record record_of(const MachineSpec& spec, std::string domain_id) {
  return {spec.id,          std::move(domain_id),  spec.memory_file, spec.channel_socket,
          spec.console_log, spec.runtime_directory};
}

Result<> Records::write(const Record& record) {
  for (const Field& field : fields)
    if ((record.*field.value).string().find('\n') != std::string::npos)
      return Error{Error::Kind::invalid, "a path of the machine has a line break in it", {}, {}};
  TRY(make_directories(directory_));
  return write_file_atomically(directory_ / record.id, to_text(record));
}

Result<std::optional<Record>> Records::find(const std::string& id) const {
  auto text = read_file(directory_ / id);
  if (!text && text.error().kind == Error::Kind::not_found) return std::optional<Record>();
  if (!text) return std::move(text).error();
  return std::optional(parse(id, *text));
}

Result<std::vector<Record>> Records::all() const {
  std::vector<Record> records;
  auto files = list_directory(directory_);
  if (!files && files.error().kind == Error::Kind::not_found) return records;
  if (!files) return std::move(files).error();
  for (const Path& file : *files) {
    if (!is_uuid(file.filename().string())) continue;
    TRY_LET(auto record, find(file.filename()));
    if (record) records.push_back(std::move(*record));
  }
  return records;
}

void Records::remove(const std::string& id) {
  std::error_code ignored;
  std::filesystem::remove(directory_ / id, ignored);
}

Result<> check_spec(const MachineSpec& spec) {
  if (!is_uuid(spec.id))
    return Error{Error::Kind::invalid, "'" + spec.id + "' is not the id of a machine (a lower-case UUID)", {}, {}};
  if (spec.memory_bytes < 64 * MiB || spec.memory_bytes % MiB != 0 || spec.vcpus == 0)
    return Error{
        Error::Kind::invalid, "a machine has whole MiB of memory, at least 64, and at least one processor", {}, {}};
  TRY(check_readable("kernel", spec.kernel));
  TRY(check_readable("initramfs", spec.initramfs));
  for (const Path& socket :
       {spec.disk_socket, channel_listener(spec.channel_socket, spec.id), network_socket(spec.runtime_directory)})
    TRY(check_socket(socket));
  return {};
}

std::uint64_t memory_taken(const Path& memory_file) {
  struct stat info {};
  return ::lstat(memory_file.c_str(), &info) == 0 ? static_cast<std::uint64_t>(info.st_blocks) * 512 : 0;
}

Result<MemoryRoom> memory_room(const Path& directory, const Path& except) {
  struct statvfs space {};
  if (::statvfs(directory.c_str(), &space) != 0) {
    Error error = system_error("cannot use memory directory '" + directory.string() + "'");
    error.hint = "name another, best on a tmpfs: `sprite config set memory_dir PATH`";
    return error;
  }
  MemoryRoom room{std::uint64_t{space.f_bavail} * space.f_frsize, 0, 0};
  TRY_LET(const std::vector<Path> files, list_directory(directory));
  for (const Path& file : files) {
    struct stat info {};
    if (file == except || ::lstat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const auto size = static_cast<std::uint64_t>(info.st_size),
               taken = static_cast<std::uint64_t>(info.st_blocks) * 512;
    room.promised_bytes += size - std::min(size, taken);
    room.taken_bytes += taken;
  }
  return room;
}

namespace {

/// Others are to be stopped only where that can be enough.
Error no_memory_room(const Path& directory, const MemoryRoom& room, std::uint64_t bytes) {
  const std::string others =
      room.promised_bytes == 0 ? "" : "other machines may still need " + format_size(room.promised_bytes) + " of it, ";
  const std::string less = bytes > room.most_bytes()
                               ? "give this one less memory than " + format_size(room.most_bytes())
                               : "stop another sprite (`sprite stop NAME`), make this one with less memory";
  return Error{Error::Kind::no_space,
               fmt::format("memory directory '{}' has {} left, {}and this one may need {}", directory.string(),
                           format_size(room.free_bytes), others, format_size(bytes)),
               less + ", or name a larger directory: `sprite config set memory_dir PATH`",
               {}};
}

}  // namespace

Result<> make_memory_file(const Path& path, std::uint64_t bytes, Content content) {
  const Path directory = path.parent_path();
  TRY_LET(const MemoryRoom room, memory_room(directory, path));
  const std::uint64_t taken = content == Content::kept ? memory_taken(path) : 0;
  if (room.left_bytes() + taken < bytes) return no_memory_room(directory, room, bytes);
  TRY_LET(const Fd file, open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW | (content == Content::none ? O_TRUNC : 0)));
  if (::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0)
    return system_error("cannot make memory file '" + path.string() + "'");
  return {};
}

Result<> empty_memory_file(const Path& path) {
  TRY_LET(const Fd file, open_file(path, O_RDWR | O_NOFOLLOW));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 ||
      ::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, info.st_size) != 0)
    return system_error("cannot empty memory file '" + path.string() + "'");
  return {};
}

Result<> link_to(const Path& target, const Path& link) {
  std::error_code failed;
  std::filesystem::remove(link, failed);
  std::filesystem::create_symlink(target, link, failed);
  if (failed) return system_error("cannot make link '" + link.string() + "'", failed.value());
  return {};
}

void remove_files(const Record& record) {
  stop_network(record.runtime_directory);
  std::error_code ignored;
  for (const Path& file :
       {record.memory_file, record.channel_socket, channel_listener(record.channel_socket, record.domain_id),
        state_socket(record.runtime_directory), pid_file(record.runtime_directory)})
    std::filesystem::remove(file, ignored);
}

bool is_held(const Path& file) {
  const auto opened = open_file(file, O_RDWR);
  return opened && locked_by(*opened);
}

bool process_lives(const Path& runtime_directory) {
  const auto file = open_file(pid_file(runtime_directory), O_RDWR);
  return file && lock_holder(*file);
}

Result<bool> kill_process(const Path& runtime_directory) { return kill_holder(pid_file(runtime_directory)); }

Result<bool> kill_holder(const Path& pid_file) {
  const auto file = open_file(pid_file, O_RDWR);
  if (!file) return false;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  bool found = false;
  while (const auto holder = lock_holder(*file)) {
    if (!found) ::kill(*holder, SIGKILL);
    found = true;
    if (std::chrono::steady_clock::now() > deadline)
      return Error{Error::Kind::unavailable, fmt::format("process {} (QEMU) does not die", *holder), {}, {}};
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return found;
}

}  // namespace sprite::vm
