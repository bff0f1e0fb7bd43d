#include "image/archive.h"

#include <unistd.h>

#include "base/process.h"
#include "base/text.h"
#include "image/manifest.h"

namespace sprite::image {
namespace {

constexpr auto time_limit = std::chrono::minutes(60);

const std::vector<std::string> members{manifest_file, kernel_file, initramfs_file, rootfs_file};

/// Runs tar. `otherwise` is the kind of its failures that are not about space.
Result<> run_tar(std::vector<std::string> argv, Error::Kind otherwise) {
  for (const char* program : {"tar", "zstd"})
    if (!find_program(program))
      return Error{
          Error::Kind::not_found, std::string("the program '") + program + "' is not installed", "run `make deps`", {}};
  argv.insert(argv.end(), members.begin(), members.end());
  TRY_LET(const Finished finished, run_process(argv, time_limit));
  if (finished.exit_status == 0) return {};
  Error error{otherwise, "tar failed", "", split(trim(finished.err), '\n')};
  if (finished.err.find("No space left on device") != std::string::npos) error.kind = Error::Kind::no_space;
  return error;
}

/// The new file's name until it is whole; removed if it never was.
class Unfinished {
 public:
  explicit Unfinished(const Path& target) : path_(target.string() + "." + std::to_string(::getpid()) + ".tmp") {}
  Unfinished(Unfinished&&) = delete;
  ~Unfinished() { ::unlink(path_.c_str()); }
  const Path& path() const { return path_; }

 private:
  Path path_;
};

}  // namespace

Result<> pack_archive(const Path& directory, const Path& archive) {
  if (::access(archive.c_str(), F_OK) == 0)
    return Error{
        Error::Kind::exists, "'" + archive.string() + "' exists already", "remove it, or choose another name", {}};
  const Unfinished unfinished(archive);
  TRY(run_tar({"tar", "--create", "--sparse", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner",
               "--use-compress-program=zstd -T0 -9 -q", "--file=" + unfinished.path().string(),
               "--directory=" + directory.string()},
              Error::Kind::unavailable));
  TRY_LET(const Fd fd, open_file(unfinished.path(), O_RDONLY));
  if (::fsync(fd.get()) != 0) return system_error("cannot make '" + archive.string() + "' durable");
  if (::link(unfinished.path().c_str(), archive.c_str()) !=
      0)  // unlike rename, never over a file that appeared meanwhile
    return system_error("cannot make '" + archive.string() + "'");
  return sync_directory(archive.has_parent_path() ? archive.parent_path() : Path("."));
}

Result<> unpack_archive(const Path& archive, const Path& directory) {
  TRY(open_file(archive, O_RDONLY));
  auto unpacked = run_tar({"tar", "--extract", "--no-same-owner", "--use-compress-program=zstd -q",
                           "--file=" + archive.string(), "--directory=" + directory.string()},
                          Error::Kind::corrupt);
  if (!unpacked) return std::move(unpacked).error().within("cannot unpack '" + archive.string() + "'");
  return {};
}

}  // namespace sprite::image
