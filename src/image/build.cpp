/// Stages and what each depends on (its key; a stage whose record holds the same key is not run again):
///   rootfs.tar     suite, packages, exclusions, customize script, timestamp
///   boot.tar       suite, boot packages, timestamp
///   rootfs.img     rootfs.tar's record, size and uuid of the disk
///   vmlinuz        boot.tar's record
///   initramfs.img  boot.tar's record, programs, modules, the agent's bytes
/// A record is written after its file is complete, so an interrupted build resumes at the stage it was in.
#include "image/build.h"

#include <sys/utsname.h>
#include <unistd.h>

#include "base/text.h"
#include "image/bootstrap.h"
#include "image/digest.h"
#include "image/ext4.h"
#include "image/initramfs.h"
#include "image/kernel.h"
#include "image/lz4.h"
#include "image/sparse.h"

namespace sprite::image {
namespace {

/// Raised when the code of a stage changes what it makes.
constexpr const char *packages_version = "2", *rootfs_version = "2", *kernel_version = "2", *initramfs_version = "3";
constexpr std::size_t agent_limit_bytes = 256 * MiB;

/// A key from parts that cannot be confused with each other.
class Key {
 public:
  Key(const char* version, const std::string& stage) { add(version).add(stage); }
  Key& add(const std::string& part) {
    sha_.add(as_bytes(std::to_string(part.size()) + ":" + part));
    return *this;
  }
  Key& add(const std::vector<std::string>& parts) {
    add(std::to_string(parts.size()));
    for (const std::string& each : parts) add(each);
    return *this;
  }
  std::string finish() { return sha_.finish(); }

 private:
  Sha256 sha_;
};

std::string architecture() {
  utsname name{};
  ::uname(&name);
  return name.machine;
}

std::string now() { return format_time(std::chrono::system_clock::now()); }

class Builder {
 public:
  Builder(const BuildRequest& request, Recipe recipe, const Progress& progress)
      : request_(request), recipe_(std::move(recipe)), progress_(progress), stages_(request.output / "stages") {}

  Result<Manifest> run() {
    TRY_LET(const std::string agent, read_file(request_.agent, agent_limit_bytes));
    TRY(check_agent(as_bytes(agent)));  // before the minutes that follow
    TRY(unpack_packages());
    Manifest manifest;
    TRY(make_rootfs(manifest));
    TRY(make_kernel(manifest));
    TRY(make_initramfs_file(agent, manifest));
    return finish(agent, std::move(manifest));
  }

 private:
  Path stage(const std::string& name) const { return stages_ / name; }
  Path record_of(const std::string& name) const { return stages_ / (name + ".key"); }

  /// What a finished stage left behind: the first line of its record is its key, the second its file's digest.
  std::vector<std::string> record(const std::string& name) const {
    const auto text = read_file(record_of(name));
    return text ? split(*text, '\n') : std::vector<std::string>{};
  }
  bool is_done(const std::string& name, const Path& file, const std::string& key) const {
    const auto lines = record(name);
    return !lines.empty() && lines[0] == key && ::access(file.c_str(), R_OK) == 0;
  }
  Result<> set_done(const std::string& name, const std::string& key, const std::string& sha256 = "") const {
    return write_file_atomically(record_of(name), key + "\n" + sha256 + "\n");
  }

  Result<> unpack_packages() {
    const RootfsRecipe& rootfs = recipe_.rootfs;
    rootfs_key_ = Key(packages_version, "rootfs.tar")
                      .add(recipe_.suite)
                      .add(std::to_string(recipe_.timestamp_s))
                      .add(rootfs.packages)
                      .add(rootfs.exclude)
                      .add(recipe_.sources)
                      .add(rootfs.customize)
                      .finish();
    TRY(unpack("rootfs.tar", rootfs_key_,
               {recipe_.suite, Contents::system, rootfs.packages, rootfs.exclude, recipe_.sources, rootfs.customize,
                recipe_.timestamp_s}));
    boot_key_ = Key(packages_version, "boot.tar")
                    .add(recipe_.suite)
                    .add(std::to_string(recipe_.timestamp_s))
                    .add(recipe_.boot.packages)
                    .finish();
    return unpack("boot.tar", boot_key_,
                  {recipe_.suite, Contents::files, recipe_.boot.packages, {}, {}, "", recipe_.timestamp_s});
  }

  /// Runs bootstrap() unless it was done; then the stage's key goes on with the digest of what came out, because the
  /// same recipe gives other packages next month.
  Result<> unpack(const std::string& name, std::string& key, const BootstrapRequest& what) {
    if (request_.refresh || !is_done(name, stage(name), key)) {
      progress_(fmt::format("fetching and unpacking {} packages of {} for {}", what.packages.size(), what.suite, name));
      TRY_LET(const PackageSource source, choose_source(recipe_, request_.mirror));
      const Path made = stage(name + ".new");
      TRY(bootstrap(what, source, made));
      TRY_LET(const std::string sha256, sha256_of_file(made));
      if (::rename(made.c_str(), stage(name).c_str()) != 0)
        return system_error("cannot replace '" + stage(name).string() + "'");
      TRY(set_done(name, key, sha256));
    }
    key = Key(packages_version, name).add(record(name).at(1)).finish();
    return {};
  }

  Result<> make_rootfs(Manifest& manifest) {
    const std::string key = Key(rootfs_version, rootfs_file)
                                .add(rootfs_key_)
                                .add(std::to_string(recipe_.disk_bytes))
                                .add(recipe_.disk_uuid)
                                .finish();
    return make_file(rootfs_file, key, manifest, [&](const Path& file) -> Result<> {
      progress_("writing the root filesystem");
      TRY_LET(const TarFile tree, TarFile::open(stage("rootfs.tar")));
      const Ext4Options options{recipe_.disk_bytes, recipe_.disk_uuid, "sprite", recipe_.timestamp_s};
      return make_ext4(file, options, tree);
    });
  }

  Result<> make_kernel(Manifest& manifest) {
    return make_file(kernel_file, Key(kernel_version, kernel_file).add(boot_key_).finish(), manifest,
                     [&](const Path& file) -> Result<> {
                       TRY_LET(const TarFile boot, TarFile::open(stage("boot.tar")));
                       TRY_LET(const std::string release, kernel_release(boot));
                       TRY_LET(const Bytes packed, boot.content("boot/vmlinuz-" + release));
                       const auto unpacked = unpack_kernel(packed);  // a kernel that cannot be unpacked boots as it is
                       return write_file_atomically(file, as_text(unpacked ? *unpacked : packed), 0644);
                     });
  }

  Result<> make_initramfs_file(const std::string& agent, Manifest& manifest) {
    const std::string key = Key(initramfs_version, initramfs_file)
                                .add(boot_key_)
                                .add(recipe_.boot.programs)
                                .add(recipe_.boot.modules)
                                .add(sha256_of_text(agent))
                                .finish();
    return make_file(initramfs_file, key, manifest, [&](const Path& file) -> Result<> {
      progress_("writing the initramfs");
      TRY_LET(const TarFile boot, TarFile::open(stage("boot.tar")));
      TRY_LET(const std::string archive, make_initramfs(boot, recipe_.boot, as_bytes(agent)));
      return write_file_atomically(file, pack_lz4(archive), 0644);
    });
  }

  /// Makes one of the image's files by `make` unless it was done, and enters it into the manifest.
  template <class F>
  Result<> make_file(const std::string& name, const std::string& key, Manifest& manifest, F&& make) {
    const Path file = request_.output / name;
    if (!is_done(name, file, key)) {
      TRY(make(stage(name)));
      TRY_LET(const ImageFile made, describe_file(stages_, name));
      if (::rename(stage(name).c_str(), file.c_str()) != 0)
        return system_error("cannot replace '" + file.string() + "'");
      TRY(set_done(name, key, made.sha256));
    }
    TRY_LET(const Fd fd, open_file(file, O_RDONLY));
    TRY_LET(const std::uint64_t size, size_of(fd, file));
    manifest.files.push_back({name, size, record(name).at(1), name == rootfs_file});
    return {};
  }

  Result<Manifest> finish(const std::string& agent, Manifest manifest) {
    manifest.name = recipe_.name;
    manifest.digest = digest_of(manifest.files, recipe_.boot.arguments);
    manifest.architecture = architecture();
    manifest.suite = recipe_.suite;
    manifest.kernel_arguments = recipe_.boot.arguments;
    manifest.agent_version = std::string(SPRITE_VERSION) + "+" + sha256_of_text(agent).substr(0, 12);
    manifest.disk_bytes = recipe_.disk_bytes;
    manifest.created = now();
    const auto before = read_manifest(request_.output);
    if (before && before->digest == manifest.digest) return *before;
    for (const char* name : {"rootfs.tar", "boot.tar"}) {
      TRY_LET(const TarFile tree, TarFile::open(stage(name)));
      TRY_LET(const auto packages, read_packages(tree));
      manifest.packages.insert(packages.begin(), packages.end());
      if (name == std::string("boot.tar")) {
        TRY_LET(manifest.kernel_release, kernel_release(tree));
      }
    }
    TRY(write_file_atomically(request_.output / manifest_file, to_json(manifest), 0644));
    return manifest;
  }

  const BuildRequest& request_;
  const Recipe recipe_;
  const Progress& progress_;
  const Path stages_;
  std::string rootfs_key_, boot_key_;
};

}  // namespace

Result<Manifest> build(const BuildRequest& request, const Progress& progress) {
  TRY_LET(Recipe recipe, read_recipe(request.recipe));
  TRY(make_directories(request.output / "stages"));
  TRY_LET(const FileLock lock, FileLock::take(request.output / "stages" / "lock"));
  auto built = Builder(request, std::move(recipe), progress).run();
  if (!built) return std::move(built).error().within("cannot build the image in '" + request.output.string() + "'");
  return built;
}

}  // namespace sprite::image
