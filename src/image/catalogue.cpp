#include "image/catalogue.h"

#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>

#include "base/directory.h"
#include "base/text.h"
#include "image/archive.h"

namespace sprite::image {
namespace {

constexpr std::string_view import_prefix = ".import-";
constexpr std::size_t least_digits = 6;

bool is_hexadecimal(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}
bool is_digest(std::string_view text) { return text.size() == 64 && is_hexadecimal(text); }

struct timespec modified(const Path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mtim : timespec{};
}

std::string format(const timespec& time) {
  const auto since_epoch = std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  return format_time(std::chrono::system_clock::time_point(
      std::chrono::duration_cast<std::chrono::system_clock::duration>(since_epoch)));
}

/// The image in a directory of the catalogue; one whose manifest cannot be read still has its digest, and says why.
Image read_image(const Path& directory) {
  Image image{directory, {}, format(modified(directory / manifest_file)), ""};
  const std::string name = directory.filename();
  auto manifest = read_manifest(directory);
  if (manifest && manifest->digest == name) {
    image.manifest = std::move(*manifest);
    return image;
  }
  image.manifest.digest = name;
  image.problem =
      manifest ? "its manifest is that of another image"
               : manifest.error().what + (manifest.error().because.empty() ? "" : ": " + manifest.error().because[0]);
  return image;
}

Error damaged(const Image& image, const std::string& why) {
  return Error{Error::Kind::corrupt,
               "image '" + image.reference() + "' is damaged",
               "run `sprite image remove " + image.manifest.digest.substr(0, 12) +
                   "`, then import or build it again (`sprite image build`, or `sprite image import FILE`)",
               {why}};
}

Error unknown(const std::string& reference, const std::vector<Image>& images) {
  std::vector<std::string> names, damages;
  for (const Image& each : images) {
    names.push_back(each.manifest.name);
    if (!each.problem.empty())
      damages.push_back("image " + each.manifest.digest.substr(0, 12) + " is damaged: " + each.problem);
  }
  const auto near = nearest(reference, names);
  return Error{Error::Kind::not_found, "there is no image '" + reference + "'",
               near             ? "did you mean '" + *near + "'? `sprite image list` shows all"
               : images.empty() ? "make one with `sprite image build`, or add one with `sprite image import FILE`"
                                : "`sprite image list` shows the images that are there",
               std::move(damages)};
}

/// Whether `image` is meant by `name` (if not empty) and the beginning of a digest (if not empty).
bool matches(const Image& image, std::string_view name, std::string_view digest) {
  return (name.empty() || image.manifest.name == name) && image.manifest.digest.starts_with(digest);
}

/// The images a reference may mean, the newest first. A name goes before a digest of the same letters.
std::vector<Image> candidates(const std::string& reference, const std::vector<Image>& images) {
  const std::size_t at = reference.find('@');
  const std::string name = reference.substr(0, at), digest = at == std::string::npos ? "" : reference.substr(at + 1);
  std::vector<Image> found;
  for (const Image& each : images)
    if (!name.empty() && digest.size() >= (at == std::string::npos ? 0 : least_digits) && matches(each, name, digest))
      found.push_back(each);
  if (!found.empty() || at != std::string::npos || name.size() < least_digits || !is_hexadecimal(name)) return found;
  for (const Image& each : images)
    if (matches(each, "", name)) found.push_back(each);
  return found;
}

/// A hidden directory that becomes an image, or disappears.
class Import {
 public:
  static Result<Import> begin(const Path& images, std::string_view purpose) {
    Path directory = images / (std::string(import_prefix) + std::string(purpose));
    TRY(make_directories(directory));
    return Import(std::move(directory));
  }
  Import(Import&& other) noexcept : directory_(std::exchange(other.directory_, Path())) {}
  ~Import() {
    if (!directory_.empty()) (void)remove_tree(directory_);
  }
  const Path& directory() const { return directory_; }
  /// Gives it its name. Errors: as system_error.
  Result<> finish(const Path& target) && {
    TRY(sync_directory(directory_));
    if (::rename(directory_.c_str(), target.c_str()) != 0) return system_error("cannot make '" + target.string() + "'");
    directory_.clear();
    return sync_directory(target.parent_path());
  }

 private:
  explicit Import(Path directory) : directory_(std::move(directory)) {}
  Path directory_;
};

/// Removes what imports left that did not end. The caller holds the lock, so none is under way.
Result<> remove_leftovers(const Path& images) {
  for (const Path& each : entries_of(images))
    if (each.filename().string().starts_with(import_prefix)) TRY(remove_tree(each));
  return {};
}

Result<FileLock> lock(const Path& images) {
  TRY(make_directories(images));
  TRY_LET(FileLock held, FileLock::take(images / ".lock"));
  TRY(remove_leftovers(images));
  return held;
}

/// Whether the file is there with its size: what can be said without reading it.
Result<> check_file(const Image& image, const ImageFile& expected) {
  const Path path = image.directory / expected.name;
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return damaged(image, "file '" + path.string() + "' is missing");
  if (!S_ISREG(info.st_mode)) return damaged(image, "'" + path.string() + "' is not a regular file");
  if (static_cast<std::uint64_t>(info.st_size) != expected.size_bytes)
    return damaged(
        image, fmt::format("file '{}' has {} bytes instead of {}", path.string(), info.st_size, expected.size_bytes));
  return {};
}

Result<> verify_file(const Image& image, const ImageFile& expected) {
  TRY(check_file(image, expected));
  TRY_LET(const ImageFile actual, describe_file(image.directory, expected.name));
  if (actual.sha256 != expected.sha256)
    return damaged(image, "file '" + (image.directory / expected.name).string() + "' does not have the content it had");
  return {};
}

}  // namespace

Result<std::vector<Image>> Catalogue::list() const {
  std::vector<std::pair<timespec, Image>> dated;
  auto listed = list_directory(images_);
  if (!listed && listed.error().kind != Error::Kind::not_found) return std::move(listed).error();
  for (const Path& each : listed ? *listed : std::vector<Path>())
    if (is_digest(each.filename().string())) dated.emplace_back(modified(each / manifest_file), read_image(each));
  std::sort(dated.begin(), dated.end(), [](const auto& a, const auto& b) {
    return std::tie(b.first.tv_sec, b.first.tv_nsec, b.second.manifest.digest) <
           std::tie(a.first.tv_sec, a.first.tv_nsec, a.second.manifest.digest);
  });
  std::vector<Image> images;
  for (auto& [time, image] : dated) images.push_back(std::move(image));
  return images;
}

Result<Image> Catalogue::find(const std::string& reference) const {
  TRY_LET(const std::vector<Image> images, list());
  std::vector<Image> found = candidates(reference, images);
  if (found.empty()) return unknown(reference, images);
  if (found.size() > 1 && found.front().manifest.name != reference)
    return Error{Error::Kind::invalid,
                 "'" + reference + "' fits several images",
                 "give more of its digest: `sprite image list --json` shows all of it",
                 {}};
  if (!found.front().problem.empty()) return damaged(found.front(), found.front().problem);
  for (const ImageFile& each : found.front().manifest.files) TRY(check_file(found.front(), each));
  return std::move(found.front());
}

Result<Image> Catalogue::import_from(const Path& source) const {
  TRY_LET(const FileLock held, lock(images_));
  std::error_code ignored;  // what is no directory is read as an archive, which tells
  if (std::filesystem::is_directory(source, ignored)) {
    auto manifest = read_manifest(source);
    if (!manifest) return std::move(manifest).error().within("'" + source.string() + "' is not an image");
    return adopt(source, std::move(*manifest), Linking::forbidden);  // others may have names for its files
  }
  TRY_LET(const Import unpacked, Import::begin(images_, "archive"));
  TRY(unpack_archive(source, unpacked.directory()));
  TRY_LET(Manifest manifest, read_manifest(unpacked.directory()));
  return adopt(unpacked.directory(), std::move(manifest), Linking::allowed);
}

Result<Image> Catalogue::adopt(const Path& directory, Manifest manifest, Linking linking) const {
  const Path target = images_ / manifest.digest;
  if (::access(target.c_str(), F_OK) == 0) {
    if (const Image present = read_image(target); present.problem.empty() && verify(present)) {
      ::utimensat(AT_FDCWD, (target / manifest_file).c_str(), nullptr, 0);  // the newest of its name from now on
      return read_image(target);
    }
    TRY(remove_tree(target));  // damaged: the import mends it
  }
  TRY_LET(Import import, Import::begin(images_, "new"));
  const auto source_damaged = [&](Error error) {
    error.what = "'" + directory.string() + "' is damaged";
    error.hint = "build it again, or fetch it again from where it came";
    return error;
  };
  for (const ImageFile& each : manifest.files) {
    if (auto there = check_file(Image{directory, manifest, "", ""}, each); !there)
      return source_damaged(std::move(there).error());
    TRY(clone_file(directory / each.name, import.directory() / each.name, linking));
  }
  TRY(write_file_atomically(import.directory() / manifest_file, to_json(manifest), 0644));
  if (auto verified = verify(Image{import.directory(), manifest, "", ""}); !verified)
    return source_damaged(std::move(verified).error());
  TRY(std::move(import).finish(target));
  return read_image(target);
}

Result<> Catalogue::export_to(const std::string& reference, const Path& archive) const {
  TRY_LET(const Image image, find(reference));
  TRY(verify(image));
  auto packed = pack_archive(image.directory, archive);
  if (!packed) return std::move(packed).error().within("cannot export image '" + image.reference() + "'");
  return {};
}

Result<Image> Catalogue::remove(const std::string& reference, const std::set<std::string>& used) const {
  TRY_LET(const FileLock held, lock(images_));
  TRY_LET(const std::vector<Image> images, list());
  const std::vector<Image> found = candidates(reference, images);
  if (found.empty()) return unknown(reference, images);
  if (found.size() > 1)
    return Error{
        Error::Kind::invalid, "'" + reference + "' fits several images", "give a digest: `sprite image list`", {}};
  const Image& image = found.front();
  if (used.contains(image.manifest.digest))
    return Error{Error::Kind::busy,
                 "image '" + image.reference() + "' is in use by a sprite",
                 "`sprite list --json` shows which; an image goes after the last sprite made from it",
                 {}};
  const Path doomed = images_ / (std::string(import_prefix) + "removed");
  if (::rename(image.directory.c_str(), doomed.c_str()) != 0)
    return system_error("cannot remove '" + image.directory.string() + "'");
  TRY(remove_tree(doomed));
  return image;
}

Result<> Catalogue::verify(const Image& image) {
  if (!image.problem.empty()) return damaged(image, image.problem);
  for (const ImageFile& each : image.manifest.files) TRY(verify_file(image, each));
  return {};
}

}  // namespace sprite::image
