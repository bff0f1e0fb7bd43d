// A key is a path below the directory. An object is written under a name of its own in .unfinished and gets its key
// when it is durable: by rename, or by a hard link where nothing may be there yet. The directories on the way are
// synced too.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "bucket/bucket.h"

namespace sprite::bucket {
namespace {

constexpr std::string_view unfinished_name = ".unfinished";

/// A file that goes unless it was renamed away.
class Unfinished {
 public:
  explicit Unfinished(Path path) : path_(std::move(path)) {}
  ~Unfinished() { ::unlink(path_.c_str()); }
  Unfinished(const Unfinished&) = delete;
  const Path& path() const { return path_; }

  Result<> fill(ByteView bytes) const {
    TRY_LET(const Fd file, open_file(path_, O_WRONLY | O_CREAT | O_EXCL));
    TRY(write_all(file.get(), bytes));
    if (::fsync(file.get()) != 0) return system_error("cannot make '" + path_.string() + "' durable");
    return {};
  }

 private:
  Path path_;
};

class DirectoryBucket final : public Bucket {
 public:
  explicit DirectoryBucket(Path directory) : directory_(std::move(directory)) {}

  std::string name() const override { return "directory '" + directory_.string() + "'"; }
  Result<std::optional<Bytes>> get(const std::string& key) override { return get_range(key, 0, ~std::uint64_t{0}); }
  Result<std::optional<Bytes>> get_range(const std::string& key, std::uint64_t offset, std::uint64_t length) override;
  Result<> put(const std::string& key, ByteView bytes) override;
  Result<Stored> put_if_absent(const std::string& key, ByteView bytes) override;
  Result<> remove(const std::string& key) override;
  Result<std::vector<Object>> list(const std::string& prefix) override;

 private:
  Unfinished unfinished() const { return Unfinished(directory_ / unfinished_name / random_uuid()); }
  Result<> make_folders(const Path& folder);

  const Path directory_;
};

Result<std::optional<Bytes>> DirectoryBucket::get_range(const std::string& key, std::uint64_t offset,
                                                        std::uint64_t length) {
  TRY(check_key(key));
  const auto file = open_file(directory_ / key, O_RDONLY);
  if (!file && file.error().kind == Error::Kind::not_found) return std::optional<Bytes>();
  if (!file) return Error(file.error());
  struct stat info {};
  if (::fstat(file->get(), &info) != 0) return system_error("cannot look at '" + key + "' in " + name());
  if (S_ISDIR(info.st_mode)) return std::optional<Bytes>();
  const auto size = static_cast<std::uint64_t>(info.st_size);
  Bytes bytes(offset >= size ? 0 : std::min(length, size - offset));
  TRY(pread_exactly(file->get(), bytes, offset));
  return std::optional(std::move(bytes));
}

/// Makes the folders on the way to an object; those that are there may have been made just before a crash.
Result<> DirectoryBucket::make_folders(const Path& folder) {
  TRY(make_directories(folder));
  for (Path each = folder; each != directory_; each = each.parent_path()) TRY(sync_directory(each.parent_path()));
  return {};
}

Result<> DirectoryBucket::put(const std::string& key, ByteView bytes) {
  TRY(check_key(key));
  const Path path = directory_ / key;
  const Unfinished file = unfinished();
  TRY(file.fill(bytes));
  TRY(make_folders(path.parent_path()));
  if (::rename(file.path().c_str(), path.c_str()) != 0) return system_error("cannot store '" + key + "' in " + name());
  return sync_directory(path.parent_path());
}

Result<Stored> DirectoryBucket::put_if_absent(const std::string& key, ByteView bytes) {
  TRY(check_key(key));
  const Path path = directory_ / key;
  const Unfinished file = unfinished();
  TRY(file.fill(bytes));
  TRY(make_folders(path.parent_path()));
  if (::link(file.path().c_str(), path.c_str()) != 0) {
    if (errno == EEXIST) return Stored::no;
    return system_error("cannot store '" + key + "' in " + name());
  }
  TRY(sync_directory(path.parent_path()));
  return Stored::yes;
}

Result<> DirectoryBucket::remove(const std::string& key) {
  TRY(check_key(key));
  if (::unlink((directory_ / key).c_str()) != 0 && errno != ENOENT)
    return system_error("cannot remove '" + key + "' from " + name());
  return {};
}

Result<std::vector<Object>> DirectoryBucket::list(const std::string& prefix) {
  std::vector<Object> found;
  std::error_code failed;
  for (std::filesystem::recursive_directory_iterator each(directory_, failed), end; !failed && each != end;
       each.increment(failed)) {
    const std::string key = each->path().lexically_relative(directory_).string();
    struct stat info {};
    if (key == unfinished_name) each.disable_recursion_pending();
    if (::lstat(each->path().c_str(), &info) != 0) {
      if (errno == ENOENT) continue;  // removed meanwhile
      return system_error("cannot look at '" + key + "' in " + name());
    }
    if (!S_ISREG(info.st_mode) || !key.starts_with(prefix)) continue;
    const auto since = std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
    found.push_back({key, static_cast<std::uint64_t>(info.st_size),
                     std::chrono::system_clock::time_point(
                         std::chrono::duration_cast<std::chrono::system_clock::duration>(since))});
  }
  if (failed) return system_error("cannot list " + name(), failed.value());
  std::ranges::sort(found, {}, &Object::key);
  return found;
}

}  // namespace

Result<std::unique_ptr<Bucket>> directory_bucket(const Path& directory) {
  TRY(make_private_directory(directory));
  TRY(make_private_directory(directory / unfinished_name));
  return std::unique_ptr<Bucket>(std::make_unique<DirectoryBucket>(directory));
}

}  // namespace sprite::bucket
