#pragma once
/// Kernel modules from the initramfs: plain .ko files under /lib/modules/<version> with modules.dep.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace sprite::agent {

/// The modules of a modules.dep by name ('-' and '_' are one letter there: '_' here).
struct ModuleIndex {
  struct Module {
    std::string path;                      ///< Relative to the folder of modules.dep.
    std::vector<std::string> needs_paths;  ///< What must be loaded before, the last one first.
  };
  std::map<std::string, Module> by_name;
};
ModuleIndex parse_modules_dep(std::string_view text);

/// Loads modules, each once.
class Modules {
 public:
  /// Reads the index of the running kernel. Errors: not_found.
  static Result<Modules> open();

  /// Loads `name` and what it needs. One that the index does not know is built into the kernel. Errors: as
  /// system_error.
  Result<> load(const std::string& name);
  /// Loads all others that the index knows; returns the names of those that could not be loaded.
  std::vector<std::string> load_the_rest();

 private:
  Modules(Path folder, ModuleIndex index) : folder_(std::move(folder)), index_(std::move(index)) {}
  Result<> insert(const std::string& path);

  Path folder_;
  ModuleIndex index_;
  std::map<std::string, bool> loaded_;
};

}  // namespace sprite::agent
