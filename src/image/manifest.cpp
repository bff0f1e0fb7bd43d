#include "image/manifest.h"

#include <boost/json.hpp>

#include "image/digest.h"
#include "image/sparse.h"

namespace sprite::image {
namespace {

namespace json = boost::json;

constexpr int format_version = 1;
constexpr std::size_t manifest_limit_bytes = 4 * MiB;

Error corrupt(std::string why) { return Error{Error::Kind::corrupt, "not an image manifest", "", {std::move(why)}}; }

bool is_digest(const std::string& text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

std::string text_of(const json::object& object, const char* key) { return json::value_to<std::string>(object.at(key)); }

ImageFile parse_file(const json::object& object) {
  return {text_of(object, "name"), json::value_to<std::uint64_t>(object.at("size")), text_of(object, "sha256"),
          object.at("sparse").as_bool()};
}

/// Throws what Boost.JSON throws where a key is missing or of another type.
Manifest parse(const json::object& object) {
  Manifest manifest;
  manifest.name = text_of(object, "name");
  manifest.digest = text_of(object, "digest");
  manifest.created = text_of(object, "created");
  manifest.architecture = text_of(object, "architecture");
  manifest.suite = text_of(object, "suite");
  manifest.kernel_release = text_of(object, "kernel_release");
  manifest.kernel_arguments = text_of(object, "kernel_arguments");
  manifest.agent_version = text_of(object, "agent_version");
  manifest.disk_bytes = json::value_to<std::uint64_t>(object.at("disk_bytes"));
  for (const json::value& each : object.at("files").as_array()) manifest.files.push_back(parse_file(each.as_object()));
  for (const auto& [name, version] : object.at("packages").as_object())
    manifest.packages[std::string(name)] = json::value_to<std::string>(version);
  return manifest;
}

/// The files are exactly those of an image, so that no name can lead out of the directory.
Result<> check(const Manifest& manifest) {
  std::vector<std::string> names;
  for (const ImageFile& each : manifest.files) {
    names.push_back(each.name);
    if (!is_digest(each.sha256)) return corrupt("file '" + each.name + "' has no SHA-256");
  }
  std::sort(names.begin(), names.end());
  if (names != std::vector<std::string>{initramfs_file, rootfs_file, kernel_file})
    return corrupt("it must name the files initramfs.img, rootfs.img and vmlinuz");
  if (manifest.digest != digest_of(manifest.files, manifest.kernel_arguments))
    return corrupt("its digest is not that of its files");
  return {};
}

}  // namespace

std::string digest_of(const std::vector<ImageFile>& files, const std::string& kernel_arguments) {
  std::map<std::string, std::string> sorted;
  for (const ImageFile& each : files) sorted[each.name] = each.sha256;
  std::string text;
  for (const auto& [name, sha256] : sorted) text += sha256 + "  " + name + "\n";
  return sha256_of_text(text + kernel_arguments);
}

Result<Manifest> parse_manifest(std::string_view text) {
  try {
    const json::object object = json::parse(text).as_object();
    if (json::value_to<int>(object.at("format")) != format_version)
      return corrupt("it has format " + json::serialize(object.at("format")) + "; this sprite reads format 1");
    Manifest manifest = parse(object);
    TRY(check(manifest));
    return manifest;
  } catch (const std::exception& exception) {
    return corrupt(exception.what());
  }
}

std::string to_json(const Manifest& manifest) {
  json::array files;
  for (const ImageFile& each : manifest.files)
    files.push_back({{"name", each.name}, {"size", each.size_bytes}, {"sha256", each.sha256}, {"sparse", each.sparse}});
  json::object packages;
  for (const auto& [name, version] : manifest.packages) packages[name] = version;
  const json::object object{{"format", format_version},
                            {"name", manifest.name},
                            {"digest", manifest.digest},
                            {"created", manifest.created},
                            {"architecture", manifest.architecture},
                            {"suite", manifest.suite},
                            {"kernel_release", manifest.kernel_release},
                            {"kernel_arguments", manifest.kernel_arguments},
                            {"agent_version", manifest.agent_version},
                            {"disk_bytes", manifest.disk_bytes},
                            {"files", std::move(files)},
                            {"packages", std::move(packages)}};
  return json::serialize(object) + "\n";
}

Result<Manifest> read_manifest(const Path& directory) {
  const Path path = directory / manifest_file;
  TRY_LET(const Fd file, open_regular_file(path));
  TRY_LET(const std::string text, read_file(file, path, manifest_limit_bytes));
  auto manifest = parse_manifest(text);
  if (!manifest) return std::move(manifest).error().within("cannot read '" + path.string() + "'");
  return manifest;
}

Result<ImageFile> describe_file(const Path& directory, const std::string& name) {
  const Path path = directory / name;
  const bool sparse = name == rootfs_file;
  TRY_LET(const Fd fd, open_file(path, O_RDONLY));
  TRY_LET(const std::uint64_t size, size_of(fd, path));
  TRY_LET(const std::string sha256, sparse ? sha256_of_sparse_file(path) : sha256_of_file(path));
  return ImageFile{name, size, sha256, sparse};
}

}  // namespace sprite::image
