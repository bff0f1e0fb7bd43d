#include "world/crashing_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using sprite::test::Crash;

constexpr std::uint64_t sector_bytes = 512;

enum class Kind : std::uint64_t { sector = 1, size, sync, created, renamed, removed, directory_sync };

/// A record of the log, followed by `text_bytes` of text (names) and `data_bytes` of data (a sector as it was).
struct Record {
  Kind kind{};
  std::uint64_t inode = 0;  ///< of the file, or of the directory that a name is in
  std::uint64_t value = 0;  ///< sector number, or size
  std::uint64_t text_bytes = 0;
  std::uint64_t data_bytes = 0;
};

struct Entry {
  Record record;
  std::string text;
  std::string data;
};

struct Disk {
  bool on = false;
  std::string root, graveyard, volatile_directory;
  int log = -1;
  Crash kind = Crash::none;
  std::uint64_t crash_at = 0, operations = 0, graves = 0, full_one_in = 0;
  std::mt19937_64 random;
};
Disk disk;

/// A bug in the order of two syncs: that of `early` files takes effect only behind the next one of `late` files, or
/// before the next change of any others.
struct Swap {
  std::string_view name, early, late;  ///< parts of the files' paths
};
constexpr Swap swaps[] = {{"bits-before-data", ".img", ".bits"}, {"rows-before-packs", "/packs/", "volume.db"}};
const Swap* planted = nullptr;

int raw_open(const char* path, int flags, mode_t mode = 0) {
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}
ssize_t raw_write(int fd, const void* data, size_t count) { return ::syscall(SYS_write, fd, data, count); }
ssize_t raw_pwrite(int fd, const void* data, size_t count, off_t at) {
  return ::syscall(SYS_pwrite64, fd, data, count, at);
}
int raw_rename(const char* from, const char* to) { return static_cast<int>(::syscall(SYS_rename, from, to)); }
int raw_unlink(const char* path) { return static_cast<int>(::syscall(SYS_unlink, path)); }

[[noreturn]] void broken(const char* what) {
  ::perror(what);
  ::_exit(9);
}

void append_record(std::string& bytes, const Record& record, std::string_view text, std::string_view data) {
  bytes.append(reinterpret_cast<const char*>(&record), sizeof record).append(text).append(data);
}

void append_to_log(const std::string& bytes) {
  if (raw_write(disk.log, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    broken("crashing disk's log");
}

void note(Kind kind, std::uint64_t inode, std::uint64_t value, const std::string& text = {}) {
  std::string bytes;
  append_record(bytes, {kind, inode, value, text.size(), 0}, text, {});
  append_to_log(bytes);
}

/// Syncs that a planted bug delays.
std::vector<std::pair<Kind, std::uint64_t>> delayed;

void end_delay() {
  for (const auto& [kind, inode] : std::exchange(delayed, {})) note(kind, inode, 0);
}

std::string path_of(int fd) {
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
  return length < 0 ? std::string() : std::string(target, static_cast<std::size_t>(length));
}

bool holds(const std::string& path, std::string_view part) { return path.find(part) != std::string::npos; }

/// Before a change of a file: only what comes too early lets a delay go on.
void before_change(const std::string& path) {
  if (!delayed.empty() && !holds(path, planted->late)) end_delay();
}
void before_change(int fd) {
  if (!delayed.empty()) before_change(path_of(fd));
}

/// Whether this sync is one that a planted bug delays.
bool is_early(int fd) { return planted && holds(path_of(fd), planted->early); }

bool watched(const char* path) { return disk.on && std::string_view(path).starts_with(disk.root); }

/// The inode of a watched file, 0 for others. Only what lies below the root is watched, which its path tells.
std::uint64_t watched_inode(int fd, bool* is_directory = nullptr) {
  if (!disk.on) return 0;
  struct stat info {};
  if (::fstat(fd, &info) != 0 || (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode))) return 0;
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target - 1);
  if (length < 0) return 0;
  target[length] = 0;
  const std::string_view path(target, static_cast<std::size_t>(length));
  if (!path.starts_with(disk.root) && !path.starts_with(disk.graveyard)) return 0;
  if (path.ends_with("-shm")) return 0;  // SQLite maps it, and makes it anew after a crash
  if (is_directory) *is_directory = S_ISDIR(info.st_mode);
  return info.st_ino;
}

std::uint64_t directory_inode(const std::string& path) {
  struct stat info {};
  const std::string parent = path.substr(0, path.rfind('/'));
  return ::stat(parent.c_str(), &info) == 0 ? info.st_ino : 0;
}

std::vector<Entry> read_log() {
  std::vector<Entry> entries;
  ::lseek(disk.log, 0, SEEK_SET);
  std::string all;
  char buffer[65536];
  for (ssize_t got; (got = ::read(disk.log, buffer, sizeof buffer)) > 0;)
    all.append(buffer, static_cast<std::size_t>(got));
  for (std::size_t at = 0; at + sizeof(Record) <= all.size();) {
    Entry entry;
    ::memcpy(&entry.record, all.data() + at, sizeof(Record));
    at += sizeof(Record);
    entry.text = all.substr(at, entry.record.text_bytes);
    at += entry.record.text_bytes;
    entry.data = all.substr(at, entry.record.data_bytes);
    at += entry.record.data_bytes;
    entries.push_back(std::move(entry));
  }
  return entries;
}

void find_files(const std::string& folder, std::map<std::uint64_t, std::string>& files) {
  DIR* listing = ::opendir(folder.c_str());
  if (!listing) return;
  while (const dirent* each = ::readdir(listing)) {
    const std::string name = each->d_name, path = folder + "/" + name;
    if (name == "." || name == "..") continue;
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) find_files(path, files);
    if (S_ISREG(info.st_mode)) files.emplace(info.st_ino, path);
  }
  ::closedir(listing);
}

/// What one file may lose.
struct Unsynced {
  std::map<std::uint64_t, std::vector<std::string>> sectors;  ///< earlier versions, the oldest first
  std::vector<std::uint64_t> sizes;
};

void lose_contents(const std::vector<Entry>& entries) {
  std::map<std::uint64_t, Unsynced> files;
  std::vector<std::uint64_t> order;  // of appearance: inode numbers differ from run to run
  for (const Entry& each : entries) {
    if (!std::ranges::count(order, each.record.inode)) order.push_back(each.record.inode);
    if (each.record.kind == Kind::sector) files[each.record.inode].sectors[each.record.value].push_back(each.data);
    if (each.record.kind == Kind::size) files[each.record.inode].sizes.push_back(each.record.value);
    if (each.record.kind == Kind::sync) files.erase(each.record.inode);
  }
  std::map<std::uint64_t, std::string> paths;
  find_files(disk.root, paths);
  find_files(disk.graveyard, paths);
  for (const std::uint64_t inode : order) {
    const Unsynced& unsynced = files[inode];
    const auto path = paths.find(inode);
    const auto strategy = disk.random() % 4;  // all lost, all kept, or each sector for itself
    if (path == paths.end()) continue;
    const int fd = raw_open(path->second.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) broken("lost file");
    for (const auto& [sector, versions] : unsynced.sectors) {
      const std::size_t kept = strategy == 0   ? 0
                               : strategy == 1 ? versions.size()
                                               : disk.random() % (versions.size() + 1);
      if (kept < versions.size())
        raw_pwrite(fd, versions[kept].data(), sector_bytes, static_cast<off_t>(sector * sector_bytes));
    }
    if (!unsynced.sizes.empty()) {
      const std::size_t kept = strategy == 0   ? 0
                               : strategy == 1 ? unsynced.sizes.size()
                                               : disk.random() % (unsynced.sizes.size() + 1);
      if (kept < unsynced.sizes.size()) ::syscall(SYS_ftruncate, fd, unsynced.sizes[kept]);
    }
    ::close(fd);
  }
}

void take_back(const Entry& change) {
  const std::string& text = change.text;
  const std::string first = text.substr(0, text.find('\n')),
                    second = text.find('\n') == std::string::npos ? "" : text.substr(text.find('\n') + 1);
  switch (change.record.kind) {
    case Kind::created: raw_unlink(first.c_str()); break;
    case Kind::renamed: raw_rename(second.c_str(), first.c_str()); break;
    case Kind::removed: raw_rename(second.c_str(), first.c_str()); break;  // back from its grave
    default: break;
  }
}

void lose_names(const std::vector<Entry>& entries) {
  std::vector<const Entry*> changes;
  for (const Entry& each : entries) {
    if (each.record.kind == Kind::created || each.record.kind == Kind::renamed || each.record.kind == Kind::removed)
      changes.push_back(&each);
    if (each.record.kind == Kind::directory_sync)
      std::erase_if(changes, [&](const Entry* change) { return change->record.inode == each.record.inode; });
  }
  std::size_t kept = disk.random() % (changes.size() + 1);
  if (disk.random() % 3 == 0) kept = 0;
  for (std::size_t i = changes.size(); i > kept; --i) take_back(*changes[i - 1]);
}

void empty_directory(const std::string& folder) {
  std::map<std::uint64_t, std::string> files;
  find_files(folder, files);
  for (const auto& [inode, path] : files) raw_unlink(path.c_str());
}

void lose_power() {
  disk.on = false;
  const auto entries = read_log();
  lose_names(entries);
  lose_contents(entries);
  empty_directory(disk.volatile_directory);
  empty_directory(disk.graveyard);
  ::syscall(SYS_ftruncate, disk.log, 0);
  ::_exit(sprite::test::power_lost_status);
}

[[noreturn]] void crash() {
  if (disk.kind == Crash::power) lose_power();
  ::kill(::getpid(), SIGKILL);
  ::_exit(9);
}

/// Counts a change; whether the crash is due in it.
bool due() { return ++disk.operations == disk.crash_at && disk.kind != Crash::none; }

/// Crashes before a change, if the crash is due and chance wants it so; else true if it is to crash behind it.
bool due_behind() {
  if (!due()) return false;
  if (disk.random() % 2 == 0) crash();
  return true;
}

/// Whether the disk has no space for this change.
bool is_full() {
  if (disk.full_one_in == 0 || disk.random() % disk.full_one_in != 0) return false;
  errno = ENOSPC;
  return true;
}

/// The bytes of a range; zeros behind the end of the file.
std::string read_range(int fd, std::uint64_t offset, std::uint64_t length) {
  std::string bytes(length, '\0');
  if (::pread(fd, bytes.data(), length, static_cast<off_t>(offset)) >= 0) return bytes;
  const std::string path = "/proc/self/fd/" + std::to_string(fd);  // it may be open for writing only
  const int again = raw_open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (again < 0 || ::pread(again, bytes.data(), length, static_cast<off_t>(offset)) < 0) broken("remember");
  ::close(again);
  return bytes;
}

/// Remembers the sectors of a range as they are.
void remember_sectors(int fd, std::uint64_t inode, std::uint64_t offset, std::uint64_t length) {
  struct stat info {};
  ::fstat(fd, &info);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  const std::uint64_t first = offset / sector_bytes, end = (offset + length + sector_bytes - 1) / sector_bytes;
  const std::string before = read_range(fd, first * sector_bytes, (end - first) * sector_bytes);
  std::string records;
  for (std::uint64_t sector = first; sector < end; ++sector)
    append_record(records, {Kind::sector, inode, sector, 0, sector_bytes}, {},
                  std::string_view(before).substr((sector - first) * sector_bytes, sector_bytes));
  append_to_log(records);
  if (offset + length > size) note(Kind::size, inode, size);
}

std::string bury(const char* path) {
  const std::string grave = disk.graveyard + "/" + std::to_string(::getpid()) + "-" + std::to_string(disk.graves++);
  raw_rename(path, grave.c_str());
  return grave;
}

void note_name(Kind kind, const std::string& path, const std::string& other = {}) {
  note(kind, directory_inode(path), 0, other.empty() ? path : path + "\n" + other);
}

}  // namespace

extern "C" {

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  struct stat info {};
  const bool creates = watched(path) && (flags & O_CREAT) != 0 && ::lstat(path, &info) != 0;
  if (!creates) return raw_open(path, flags, mode);
  if (is_full()) return -1;
  before_change(path);
  const bool crashes = due_behind();
  const int fd = raw_open(path, flags, mode);
  if (fd >= 0) note_name(Kind::created, path);
  if (crashes) crash();
  return fd;
}

ssize_t pwrite64(int fd, const void* data, size_t count, off_t offset) {
  const std::uint64_t inode = watched_inode(fd);
  if (inode == 0) return raw_pwrite(fd, data, count, offset);
  if (is_full()) {
    count = disk.random() % (count / sector_bytes + 1) * sector_bytes;  // some of it may have fitted in
    if (count == 0) return -1;
  }
  before_change(fd);
  const bool crashes = due_behind();
  remember_sectors(fd, inode, static_cast<std::uint64_t>(offset), count);
  if (crashes && count > sector_bytes) count = disk.random() % (count / sector_bytes + 1) * sector_bytes;
  const ssize_t put = raw_pwrite(fd, data, count, offset);
  if (crashes) crash();
  return put;
}

ssize_t write(int fd, const void* data, size_t count) {
  if (watched_inode(fd) == 0) return raw_write(fd, data, count);
  const off_t offset = ::lseek(fd, 0, SEEK_CUR);
  const ssize_t put = pwrite64(fd, data, count, offset);
  if (put > 0) ::lseek(fd, offset + put, SEEK_SET);
  return put;
}

int ftruncate64(int fd, off_t size) {
  const std::uint64_t inode = watched_inode(fd);
  if (inode == 0) return static_cast<int>(::syscall(SYS_ftruncate, fd, size));
  if (is_full()) return -1;
  before_change(fd);
  const bool crashes = due_behind();
  struct stat info {};
  ::fstat(fd, &info);
  if (size < info.st_size)
    remember_sectors(fd, inode, static_cast<std::uint64_t>(size), static_cast<std::uint64_t>(info.st_size - size));
  note(Kind::size, inode, static_cast<std::uint64_t>(info.st_size));
  const int result = static_cast<int>(::syscall(SYS_ftruncate, fd, size));
  if (crashes) crash();
  return result;
}

int fallocate64(int fd, int mode, off_t offset, off_t length) {
  const std::uint64_t inode = watched_inode(fd);
  if (inode == 0) return static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, length));
  before_change(fd);
  const bool crashes = due_behind();
  remember_sectors(fd, inode, static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length));
  const int result = static_cast<int>(::syscall(SYS_fallocate, fd, mode, offset, length));
  if (crashes) crash();
  return result;
}

int fdatasync(int fd) {
  bool is_directory = false;
  const std::uint64_t inode = watched_inode(fd, &is_directory);
  if (inode == 0) return 0;  // nothing of this program has to survive the real host
  const Kind kind = is_directory ? Kind::directory_sync : Kind::sync;
  const bool early = is_early(fd);
  if (!early) before_change(fd);
  const bool crashes = due_behind();
  if (early) {
    delayed.emplace_back(kind, inode);
  } else {
    note(kind, inode, 0);
  }
  if (crashes) crash();
  if (!early) end_delay();
  return 0;
}
int fsync(int fd) { return fdatasync(fd); }

int rename(const char* from, const char* to) noexcept {
  if (!watched(to)) return raw_rename(from, to);
  const bool crashes = due_behind();
  struct stat info {};
  if (::lstat(to, &info) == 0) note_name(Kind::removed, to, bury(to));
  const int result = raw_rename(from, to);
  if (result == 0) note_name(Kind::renamed, from, to);
  if (crashes) crash();
  return result;
}

int link(const char* from, const char* to) noexcept {
  if (!watched(to)) return static_cast<int>(::syscall(SYS_link, from, to));
  before_change(to);
  const bool crashes = due_behind();
  const int result = static_cast<int>(::syscall(SYS_link, from, to));
  if (result == 0) note_name(Kind::created, to);
  if (crashes) crash();
  return result;
}

int unlink(const char* path) noexcept {
  struct stat info {};
  if (!watched(path) || ::lstat(path, &info) != 0) return raw_unlink(path);
  before_change(path);
  const bool crashes = due_behind();
  note_name(Kind::removed, path, bury(path));
  if (crashes) crash();
  return 0;
}

}  // extern "C"

namespace sprite::test {

void start_crashing_disk(const std::filesystem::path& root, const std::filesystem::path& log,
                         const std::filesystem::path& graveyard, const std::filesystem::path& volatile_directory,
                         Crash kind, std::uint64_t operation, std::uint64_t seed) {
  disk.root = root;
  disk.graveyard = graveyard;
  disk.volatile_directory = volatile_directory;
  disk.log = raw_open(log.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (disk.log < 0) broken("crashing disk's log");
  disk.kind = kind;
  disk.crash_at = operation;
  disk.random.seed(seed);
  disk.on = true;
}

void set_disk_full(std::uint64_t n) { disk.full_one_in = n; }

bool plant(const std::string& bug) {
  for (const Swap& swap : swaps)
    if (swap.name == bug) planted = &swap;
  return planted != nullptr;
}

void crash_now() {
  end_delay();
  crash();
}

void crash_here() { crash(); }

}  // namespace sprite::test
