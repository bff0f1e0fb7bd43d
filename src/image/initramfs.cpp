#include "image/initramfs.h"

#include <set>

#include "base/text.h"
#include "image/cpio.h"
#include "image/elf.h"

namespace sprite::image {
namespace {

/// The base name of a module's file without ".ko", with '_' for '-' as the kernel spells it.
std::string module_name(std::string_view path) {
  std::string name(path.substr(path.rfind('/') + 1));
  name = name.substr(0, name.find(".ko"));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

/// Cuts the signature off a module. It costs more to check (RSA, five times the rest of loading, in emulation) than it
/// is worth here: the package was verified when it was fetched, and the image's digest covers the module from then on.
void strip_signature(Bytes& module) {
  constexpr std::string_view mark = "~Module signature appended~\n";
  constexpr std::size_t trailer_bytes = 12, length_bytes = 4;  // struct module_signature; its last field is the length
  if (!as_text(module).ends_with(mark) || module.size() < mark.size() + trailer_bytes) return;
  const std::size_t before = module.size() - mark.size() - trailer_bytes;
  const std::size_t signature = load_big<std::uint32_t>(module.data() + before + trailer_bytes - length_bytes);
  if (signature <= before) module.resize(before - signature);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

/// Collects files and the directories they need, then writes them sorted: the same input gives the same bytes.
class Tree {
 public:
  void add(const std::string& path, unsigned permissions, Bytes content) {
    files_[path] = {permissions, std::move(content)};
  }
  void add_text(const std::string& path, std::string_view text) {
    const ByteView bytes = as_bytes(text);
    add(path, 0644, Bytes(bytes.begin(), bytes.end()));
  }
  bool has(const std::string& path) const { return files_.contains(path); }

  std::string archive(std::vector<std::string> empty_directories) const {
    std::set<std::string> directories(empty_directories.begin(), empty_directories.end());
    for (const auto& [path, file] : files_)
      for (std::string up = parent_of(path); !up.empty(); up = parent_of(up)) directories.insert(up);
    Cpio cpio;
    for (const std::string& each : directories) cpio.add_directory(each);
    for (const char* merged : {"bin", "lib", "lib64", "sbin"}) cpio.add_symlink(merged, std::string("usr/") + merged);
    cpio.add_character_device("dev/console", 0600, 5, 1);  // the kernel opens it for /init
    for (const auto& [path, file] : files_) cpio.add_file(path, file.permissions, file.content);
    return std::move(cpio).finish();
  }

 private:
  struct File {
    unsigned permissions = 0;
    Bytes content{};
  };
  std::map<std::string, File> files_;
};

/// A path under the merged /usr: "/lib64/ld-linux-x86-64.so.2" is "usr/lib64/ld-linux-x86-64.so.2".
std::string merged(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  return path.starts_with("usr/") ? std::string(path) : "usr/" + std::string(path);
}

/// Adds programs, and every library that they and their libraries name.
class Programs {
 public:
  Programs(const TarFile& boot, Tree& tree) : boot_(boot), tree_(tree) {}

  Result<> add(const std::string& path) {
    auto content = find(path);
    if (!content)
      return Error{
          Error::Kind::invalid, "no package of the recipe's boot section has the program '" + path + "'", "", {}};
    return add_elf(merged(path), std::move(*content));
  }

 private:
  std::optional<Bytes> find(const std::string& path) const {
    const std::string usr = merged(path);
    for (const std::string& each : {usr, usr.substr(4)})
      if (auto content = boot_.content(each)) return std::move(*content);
    return std::nullopt;
  }
  Result<> add_elf(const std::string& path, Bytes content) {
    if (tree_.has(path)) return {};
    TRY_LET(const Linkage linkage, read_linkage(content));
    tree_.add(path, 0755, std::move(content));
    if (!linkage.interpreter.empty()) TRY(add(linkage.interpreter));
    for (const std::string& name : linkage.needed) TRY(add_library(name));
    return {};
  }
  Result<> add_library(const std::string& name) {
    for (const char* folder : {"usr/lib/x86_64-linux-gnu/", "usr/lib/aarch64-linux-gnu/", "usr/lib/", "usr/lib64/"}) {
      if (tree_.has(folder + name)) return {};
      if (auto content = find(folder + name)) return add_elf(folder + name, std::move(*content));
    }
    return Error{
        Error::Kind::invalid, "no package of the recipe's boot section has the library '" + name + "'", "", {}};
  }

  const TarFile& boot_;
  Tree& tree_;
};

/// Adds modules and what they depend on; keeps the lines of modules.dep.
class Modules {
 public:
  Modules(const TarFile& boot, Tree& tree, std::string release)
      : boot_(boot), tree_(tree), root_("lib/modules/" + release) {
    for (const TarEntry& entry : boot.entries()) {
      const std::size_t at = entry.path.find(root_ + "/");
      if (at != std::string::npos && entry.path.find(".ko") != std::string::npos)
        files_[module_name(entry.path)] = entry.path;
    }
    if (auto listed = boot.content(root_ + "/modules.builtin"))
      for (const std::string& line : split(as_text(*listed), '\n')) built_in_.insert(module_name(line));
  }

  /// Adds module `name` unless the kernel has it built in.
  Result<> add(const std::string& name) {
    if (built_in_.contains(name) || dependencies_.contains(name)) return {};
    const auto found = files_.find(name);
    if (found == files_.end())
      return Error{
          Error::Kind::invalid, "the kernel of the recipe's boot section has no module '" + name + "'", "", {}};
    TRY_LET(Bytes content, boot_.content(found->second));
    TRY_LET(const auto info, read_module_info(content));
    std::vector<std::string>& wanted = dependencies_[name];
    for (auto [at, end] = info.equal_range("depends"); at != end; ++at)
      for (const std::string& each : split(at->second, ','))
        if (!each.empty()) wanted.push_back(module_name(each));
    strip_signature(content);
    tree_.add("usr/" + found->second, 0644, std::move(content));
    for (const std::string& each : std::vector<std::string>(wanted)) TRY(add(each));
    return {};
  }

  /// modules.dep as depmod writes it: each file, then all that it depends on, the deepest last.
  std::string dependency_list() const {
    std::string text;
    for (const auto& [name, direct] : dependencies_) {
      text += relative(name) + ":";
      std::vector<std::string> order;
      collect(name, order);
      for (auto each = order.rbegin(); each != order.rend(); ++each)
        if (*each != name) text += " " + relative(*each);
      text += "\n";
    }
    return text;
  }

 private:
  std::string relative(const std::string& name) const { return files_.at(name).substr(root_.size() + 1); }
  /// `name` after everything that it depends on.
  void collect(const std::string& name, std::vector<std::string>& order) const {
    if (!dependencies_.contains(name) || std::find(order.begin(), order.end(), name) != order.end()) return;
    for (const std::string& each : dependencies_.at(name)) collect(each, order);
    order.push_back(name);
  }

  const TarFile& boot_;
  Tree& tree_;
  std::string root_;
  std::map<std::string, std::string> files_;
  std::set<std::string> built_in_;
  std::map<std::string, std::vector<std::string>> dependencies_;
};

}  // namespace

Result<std::string> kernel_release(const TarFile& boot) {
  std::set<std::string> releases;
  constexpr std::string_view prefix = "boot/vmlinuz-";
  for (const TarEntry& entry : boot.entries())
    if (entry.path.starts_with(prefix)) releases.insert(entry.path.substr(prefix.size()));
  if (releases.size() != 1)
    return Error{Error::Kind::invalid,
                 fmt::format("the boot packages hold {} kernels; exactly one is needed", releases.size()),
                 "name one kernel package in the recipe's boot section",
                 {}};
  return *releases.begin();
}

Result<> check_agent(ByteView agent) {
  auto linkage = read_linkage(agent);
  if (!linkage) return std::move(linkage).error().within("the agent is not a program");
  if (!linkage->interpreter.empty())
    return Error{Error::Kind::invalid, "the agent is not a static program", "link it with -static", {}};
  return {};
}

Result<std::string> make_initramfs(const TarFile& boot, const BootRecipe& recipe, ByteView agent) {
  TRY(check_agent(agent));
  TRY_LET(const std::string release, kernel_release(boot));
  Tree tree;
  Bytes init(agent.begin(), agent.end());
  TRY(strip_program(init));
  tree.add("init", 0755, std::move(init));
  Programs programs(boot, tree);
  for (const std::string& each : recipe.programs) TRY(programs.add(each));
  Modules modules(boot, tree, release);
  for (const std::string& each : recipe.modules) TRY(modules.add(each));
  const std::string folder = "usr/lib/modules/" + release + "/";
  tree.add_text(folder + "modules.dep", modules.dependency_list());
  return tree.archive({"dev", "proc", "sys", "run", "tmp", "etc", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64"});
}

}  // namespace sprite::image
